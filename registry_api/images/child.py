# SPDX-License-Identifier: Apache-2.0
"""Has ``python -m registry_api.images.builders build`` make an image: :mod:`registry_api.images.builders.spec`.

The child gets no key and none of this process's settings: it is told how to reach packages (pip's variables, proxies,
certificates) and nothing else. It bounds its own memory; its job bounds its wall time and ends its whole process group.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from core.errors import ErrorCode, FuroshikiError, JobError, Unavailable
from registry_api.images.builders.spec import ImageResult, ImageSpec
from registry_api.jobs.child import run_logged
from registry_api.jobs.interface import JobTask
from registry_api.jobs.process import own_environment

PROGRAM: Final = (sys.executable, "-P", "-m", "registry_api.images.builders", "build")
BUILT: Final = 0.75  # of the job's progress, when the child has ended

_BEGUN: Final = 0.1
_REFUSED: Final = 3  # exit status of a child that says why, in a line of JSON
_RESULT_BYTES: Final = 4 << 20
_PASSED: Final = re.compile(r"PIP_[A-Z_]+|SSL_CERT_(FILE|DIR)|(REQUESTS|CURL)_CA_BUNDLE|(HTTPS?|ALL|NO)_PROXY")
_MAY_PASS: Final = frozenset({ErrorCode.IMAGE_BASE, ErrorCode.STORE_FULL})  # what a later attempt may not meet


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildLimits:
    """What the child may use, and which program it is."""

    memory_bytes: int = 16 << 30  # address space of each process
    program: tuple[str, ...] = PROGRAM  # another one in tests


class _Refusal(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    message: str


async def build_in_child(spec: ImageSpec, scratch: Path, limits: BuildLimits, task: JobTask) -> ImageResult:
    """Has a child make the image that ``spec`` describes.

    Args:
        spec: What to make.
        scratch: The job's private folder.
        limits: Of the child.
        task: Gets what the child tells.

    Raises:
        Unavailable: ``IMAGE_002`` if a base image cannot be had, ``STORE_004`` if the disk is full: may be tried again.
        JobError: With the child's code: ``IMAGE_001`` if the builder cannot work here, ``IMAGE_003`` for another platform,
            ``IMAGE_004`` for a Bento that wants commands run, ``SIGN_004`` for a changed file; ``JOB_002`` if a tool fails.
    """
    path, answer, temporary = scratch / "spec.json", scratch / "result.json", scratch / "tmp"
    path.write_bytes(msgspec.json.encode(spec))
    temporary.mkdir()
    refusals: list[_Refusal] = []

    def told(line: str) -> bool:
        found = _refusal_in(line)
        if found is not None:
            refusals.append(found)
            return True
        task.progress(_BEGUN, line)
        return False

    environment = {**own_environment(), **passed_on(os.environ), "TMPDIR": str(temporary)}
    argv = [*limits.program, str(path), str(answer)]
    status, last = await run_logged(argv, task, cwd=scratch, env=environment, told=told)
    if status == _REFUSED and refusals:
        raise _error(refusals[-1])
    if status != 0:
        raise JobError(ErrorCode.JOB_FAILED, f"The process that makes the image ended with status {status}: {last}")
    task.progress(BUILT, "the image is built")
    return _read(answer)


def passed_on(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of this process that say how packages are reached; a proxy's name counts in either case."""
    return {
        name: value
        for name, value in environment.items()
        if _PASSED.fullmatch(name.upper() if name.lower().endswith("_proxy") else name)
    }


def _refusal_in(line: str) -> _Refusal | None:
    try:
        return msgspec.json.decode(line, type=_Refusal)
    except (msgspec.DecodeError, RecursionError):
        return None


def _error(refusal: _Refusal) -> FuroshikiError:
    try:
        code = ErrorCode(refusal.code)
    except ValueError:
        code = ErrorCode.JOB_FAILED
    if code in _MAY_PASS:
        return Unavailable(code, refusal.message[:2000])
    return JobError(code, refusal.message[:2000])


def _read(path: Path) -> ImageResult:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(_RESULT_BYTES), type=ImageResult)
    except (OSError, msgspec.DecodeError, RecursionError) as fault:
        raise JobError(
            ErrorCode.JOB_FAILED, f"The process that makes the image gave no usable answer: {fault}"
        ) from None
