# SPDX-License-Identifier: Apache-2.0
"""The folder a job works in: its own, empty, and gone when the attempt ends; what a killed attempt left is swept."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import TypeAlias

from registry_api.jobs.interface import Job

Release: TypeAlias = Callable[[Path], None]
"""Takes away what must be gone before a folder is removed, such as mounts below it."""


def leave(_folder: Path) -> None:
    """Takes nothing away."""


@contextmanager
def scratch_of(job: Job, folder: Path, *, release: Release = leave) -> Iterator[Path]:
    """A new folder below ``folder`` for one attempt; removed at the end. Blocks."""
    sweep_scratch(job, folder, release=release)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = Path(mkdtemp(prefix=_prefix(job), dir=folder))
    try:
        yield scratch
    finally:
        release(scratch)
        shutil.rmtree(scratch, ignore_errors=True)


def sweep_scratch(job: Job, folder: Path, *, release: Release = leave) -> None:
    """Removes what an attempt that was killed left behind. Blocks."""
    for left in folder.glob(f"{_prefix(job)}*"):
        release(left)
        shutil.rmtree(left, ignore_errors=True)


def _prefix(job: Job) -> str:
    return f"{job.kind}-{job.id}-"
