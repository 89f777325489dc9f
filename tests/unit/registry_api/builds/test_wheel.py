# SPDX-License-Identifier: Apache-2.0
"""The SDK's wheel is built by the real hatchling, once for each state of its sources."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from core.errors import ErrorCode, JobError
from registry_api.builds.wheel import WheelCache
from registry_api.jobs.interface import Job
from registry_api.jobs.testing import RecordingTask

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "tiny"
version = "{version}"
[tool.hatch.build.targets.wheel]
packages = ["src/tiny"]
"""


def _sources(folder: Path, *, version: str = "1.0", code: str = "X = 1") -> Path:
    (folder / "src" / "tiny").mkdir(parents=True, exist_ok=True)
    (folder / "src" / "tiny" / "__init__.py").write_text(code)
    (folder / "pyproject.toml").write_text(PROJECT.format(version=version))
    return folder


async def test_a_wheel_is_built_once_until_its_sources_change(tmp_path: Path, job: Job) -> None:
    """The same sources give the cached file; other sources give another one."""
    cache = WheelCache(_sources(tmp_path / "sdk"), tmp_path / "cache")
    first = await cache.wheel(RecordingTask(job=job))
    assert first is not None
    task = RecordingTask(job=job)
    assert await cache.wheel(task) == first
    assert task.lines == []
    _sources(tmp_path / "sdk", code="X = 2")
    second = await cache.wheel(task)
    assert second is not None
    assert second != first
    assert zipfile.ZipFile(second).read("tiny/__init__.py") == b"X = 2"
    assert list((tmp_path / "cache").glob(".new-*")) == []


async def test_without_sources_there_is_no_wheel(tmp_path: Path, job: Job) -> None:
    """An installation without the SDK's project builds Bentos without its wheel."""
    assert await WheelCache(tmp_path / "nothing", tmp_path / "cache").wheel(RecordingTask(job=job)) is None


async def test_a_wheel_that_cannot_be_built_fails_the_job(tmp_path: Path, job: Job) -> None:
    """The job fails with JOB_002, hatchling's words are in its log, and nothing is cached."""
    _sources(tmp_path / "sdk", version="not a version")
    task = RecordingTask(job=job)
    with pytest.raises(JobError) as refused:
        await WheelCache(tmp_path / "sdk", tmp_path / "cache").wheel(task)
    assert refused.value.code is ErrorCode.JOB_FAILED
    assert task.lines != []
    assert list((tmp_path / "cache").iterdir()) == []
