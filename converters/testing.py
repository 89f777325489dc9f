# SPDX-License-Identifier: Apache-2.0
"""Runs whole conversions as the registry does: a signed source bundle, a spec, a child process, its answer."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from artifacts.testing import make_bundle
from converters.sandbox import REPOSITORY
from converters.spec import ConvertAnswer, ConvertSpec
from core.tensors import Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Model files to convert."""

    format: str
    files: Mapping[str, bytes]
    signature: Signature | None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a conversion ended."""

    status: int
    answer: ConvertAnswer | None
    code: str  # of the error; empty: none
    message: str
    stages: tuple[dict[str, Any], ...]
    stderr: str
    output: Path


def read_folder(folder: Path) -> dict[str, bytes]:
    """All files of a folder by relative path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def prepare(source: Source, target: str, place: Path, **fields: Any) -> Path:
    """Lays a signed bundle, a trust folder and a spec out in ``place``; the path of the spec."""
    bundle = make_bundle(
        dict(source.files),
        format=source.format,
        variant=f"{source.format}-fp32/cpu",
        signature=source.signature,
        metadata=dict(source.metadata),
    )
    bundle.write(place / "bundle")
    (place / "trust").mkdir()
    (place / "trust" / "acme.json").write_bytes(bundle.policy.to_bytes())
    manifest = bundle.manifest
    defaults: dict[str, Any] = {
        "bundle": str(place / "bundle"),
        "tenant": manifest.tenant,
        "model": manifest.model,
        "version": manifest.version,
        "variant": manifest.variant,
        "trust": str(place / "trust"),
        "target": target,
        "output": str(place / "output"),
        "answer": str(place / "answer.json"),
        "budget_s": 300.0,
        "memory_bytes": 16 << 30,
    }
    spec = ConvertSpec(**(defaults | fields))
    (place / "spec.json").write_bytes(msgspec.json.encode(spec))
    return place / "spec.json"


def start(spec: Path, *, file_bytes: int | None = None) -> subprocess.Popen[bytes]:
    """Starts the child as the registry does: in a session of its own.

    Args:
        spec: Of :func:`prepare`.
        file_bytes: The most it may write to one file, as on a disk that is full; None: no limit.
    """
    child = subprocess.Popen(  # noqa: S603 -- fixed arguments
        [sys.executable, "-P", "-m", "converters", "run", str(spec)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=spec.parent,
        env={
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        start_new_session=True,
    )
    if file_bytes is not None:
        resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    return child


def convert(source: Source, target: str, place: Path, *, file_bytes: int | None = None, **fields: Any) -> Outcome:
    """Converts and waits for the end; ``fields`` are those of the spec."""
    spec = prepare(source, target, place, **fields)
    child = start(spec, file_bytes=file_bytes)
    stdout, stderr = child.communicate()
    return ended(spec.parent, child.returncode, stdout, stderr)


def ended(place: Path, status: int, stdout: bytes, stderr: bytes) -> Outcome:
    """Reads what a child left."""
    answer: ConvertAnswer | None = None
    code = message = ""
    if (place / "answer.json").is_file():
        data = (place / "answer.json").read_bytes()
        if status == 0:
            answer = msgspec.json.decode(data, type=ConvertAnswer)
        else:
            error = msgspec.json.decode(data)["error"]
            code, message = error["code"], error["message"]
    stages = tuple(msgspec.json.decode(line) for line in stdout.splitlines() if line)
    return Outcome(
        status=status,
        answer=answer,
        code=code,
        message=message,
        stages=stages,
        stderr=stderr.decode(errors="replace"),
        output=place / "output",
    )
