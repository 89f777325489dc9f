# SPDX-License-Identifier: Apache-2.0
"""The wheel of our SDK that goes into every Bento, built once for each state of its sources."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path
from tempfile import mkdtemp

from artifacts.digest import StreamingDigest, hex_of
from core.errors import ErrorCode, JobError
from registry_api.jobs.interface import JobTask
from registry_api.jobs.process import plain_environment, run_child


class WheelCache:
    """Wheels by the digest of what they were made of.

    Args:
        sources: The SDK's project folder; without a ``pyproject.toml`` there is nothing to build.
        cache: Where wheels are kept.
    """

    def __init__(self, sources: Path, cache: Path) -> None:
        self._sources = sources
        self._cache = cache

    async def wheel(self, task: JobTask) -> Path | None:
        """The wheel, built if the cache has none; None if there are no sources.

        Raises:
            JobError: ``JOB_002`` if it cannot be built.
        """
        if not (self._sources / "pyproject.toml").is_file():
            return None
        folder = self._cache / await asyncio.to_thread(self._state)
        if not folder.is_dir():
            await self._build(folder, task)
        return next(folder.glob("*.whl"))

    async def _build(self, folder: Path, task: JobTask) -> None:
        self._cache.mkdir(parents=True, exist_ok=True)
        staging = Path(mkdtemp(prefix=".new-", dir=self._cache))
        try:
            status = await run_child(
                [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(staging)],
                job_id=task.job.id,
                env=plain_environment(),
                cwd=self._sources,
                log=task.log,
            )
            if status != 0:
                raise JobError(ErrorCode.JOB_FAILED, f"The SDK's wheel cannot be built: status {status}; see the log.")
            await asyncio.to_thread(_publish, staging, folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _state(self) -> str:
        state = StreamingDigest()
        for path in sorted([self._sources / "pyproject.toml", *(self._sources / "src").rglob("*")]):
            if path.is_file() and path.suffix != ".pyc":
                data = path.read_bytes()
                state.update(f"{path.relative_to(self._sources)}\0{len(data)}\0".encode() + data)
        return hex_of(state.value)


def _publish(staging: Path, folder: Path) -> None:
    try:
        os.rename(staging, folder)
    except OSError:
        if not folder.is_dir():  # otherwise another worker was faster
            raise
