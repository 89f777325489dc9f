# SPDX-License-Identifier: Apache-2.0
"""``python -m loadtests.storage``: pushes and fetches one large file; compares with sha256sum and cp in the same round.

Every round measures, one after the other on the same disk: ``sha256sum``, ``cp``, ``cp`` with ``sync``; then, for a plain
and for an encrypted registry, a push by the SDK in a process of its own and a download. Pages of the files read are dropped
from the cache before. All samples are kept under ``loadtests/results/``; the figures printed are medians of ratios made
within a round. A push has three phases: the client hashes, sends (the registry hashes and stores, durably), and completes
(the registry lends or copies the files to the inspecting child, which reads them, signs, registers). The goal is about all
three; the first two are also told alone.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from deploy.local.stack import ROOT
from furoshiki import Client
from loadtests.bench.results import FOLDER, Machine
from loadtests.storage.registry import Registry, running
from loadtests.storage.sample import Push, Sample

MIB: Final = 1 << 20
GOAL_PUSH: Final = 0.6  # of sha256sum and cp
GOAL_LOAD: Final = 1.3  # encrypted against plain
GOAL_MEMORY: Final = 200 * MIB

talk = Console(stderr=True, highlight=False, soft_wrap=True)


class Run(msgspec.Struct, kw_only=True):
    """All samples of one run."""

    started: datetime
    machine: Machine
    bytes: int
    samples: list[Sample]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints and keeps; 0 whether goals are met or missed."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.storage", description=__doc__)
    parser.add_argument("--mib", type=int, default=1024, help="size of the file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to be measured; made and removed")
    options = parser.parse_args(arguments)
    run = Run(started=datetime.now(UTC), machine=Machine.here(), bytes=options.mib * MIB, samples=[])
    with tempfile.TemporaryDirectory(prefix="furoshiki-storage-", dir=options.folder) as folder:
        for number in range(options.rounds):
            run.samples.append(_round(Path(folder) / str(number), run.bytes))
            talk.print(f"round {number + 1}: {msgspec.json.encode(run.samples[-1]).decode()}")
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"storage-{run.started:%Y%m%dT%H%M%SZ}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1))
    _report(run)
    talk.print(f"raw samples: {path.relative_to(ROOT)}")
    return 0


def _round(folder: Path, size: int) -> Sample:
    source = folder / "model"
    source.mkdir(parents=True)
    _write_model(source, size)
    large = source / "large.bin"
    sample = Sample(
        sha256sum=_timed(["sha256sum", str(large)], large),
        cp=_timed(["cp", str(large), str(folder / "copy")], large),
        cp_sync=_timed(["sh", "-c", f"cp {large} {folder / 'durable'} && sync {folder / 'durable'}"], large),
        plain=_registry(folder / "plain", source, encryption="off"),
        encrypted=_registry(folder / "encrypted", source, encryption="on"),
    )
    subprocess.run(["rm", "-rf", str(folder)], check=True)
    return sample


def _registry(home: Path, source: Path, *, encryption: str) -> Push:
    with running(home, encryption=encryption) as registry:
        _forget_pages(source)
        pushed = registry.push(source)
        _forget_pages(home)
        started = time.monotonic()
        with Client(registry.url, api_key=registry.admin_key) as client:
            client.versions.download("large", 1, home / "out")
        return msgspec.structs.replace(pushed, download=time.monotonic() - started, server_bytes=registry.peak_bytes())


def _write_model(folder: Path, size: int) -> None:
    (folder / "model.onnx").write_bytes(Registry.tiny_model())
    with (folder / "large.bin").open("wb") as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))
        file.flush()
        os.fsync(file.fileno())


def _timed(command: list[str], reads: Path) -> float:
    _forget_pages(reads)
    started = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


def _forget_pages(path: Path) -> None:
    for file in [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]:
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _report(run: Run) -> None:
    push = f"goal ≥ {GOAL_PUSH}"
    lines = [
        *_seconds(run),
        ("sha256sum + cp over whole push, plain", [s.baseline / s.plain.complete for s in run.samples], push),
        ("  without completing", [s.baseline / s.plain.sent for s in run.samples], ""),
        ("sha256sum + cp + sync over whole push, plain", [s.durable / s.plain.complete for s in run.samples], ""),
        ("  without completing", [s.durable / s.plain.sent for s in run.samples], ""),
        ("sha256sum + cp over whole push, encrypted", [s.baseline / s.encrypted.complete for s in run.samples], ""),
        ("  without completing", [s.baseline / s.encrypted.sent for s in run.samples], ""),
        ("download, encrypted over plain", [s.load_ratio for s in run.samples], f"goal ≤ {GOAL_LOAD}"),
        ("registry's peak memory, MiB", [s.server_bytes / MIB for s in run.samples], f"goal < {GOAL_MEMORY // MIB}"),
        ("client's peak memory, MiB", [s.client_bytes / MIB for s in run.samples], f"goal < {GOAL_MEMORY // MIB}"),
    ]
    for name, values, goal in lines:
        spread = f"{min(values):.2f} to {max(values):.2f}"
        print(f"{name:46} {statistics.median(values):8.2f}  ({spread})  {goal}")


def _seconds(run: Run) -> list[tuple[str, list[float], str]]:
    pushes = [(name, [getattr(s, name) for s in run.samples]) for name in ("plain", "encrypted")]
    return [
        ("sha256sum, s", [s.sha256sum for s in run.samples], ""),
        ("cp, s", [s.cp for s in run.samples], ""),
        ("cp and sync, s", [s.cp_sync for s in run.samples], ""),
        *((f"push, {name}: client hashes, s", [p.hashed for p in pushed], "") for name, pushed in pushes),
        *((f"push, {name}: sends, s", [p.sent - p.hashed for p in pushed], "") for name, pushed in pushes),
        *((f"push, {name}: completes, s", [p.complete - p.sent for p in pushed], "") for name, pushed in pushes),
        *((f"push, {name}: whole, s", [p.complete for p in pushed], "") for name, pushed in pushes),
    ]


if __name__ == "__main__":
    sys.exit(main())
