# SPDX-License-Identifier: Apache-2.0
"""The folder of an attempt: empty, gone at its end, and released before it is removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_api.jobs.scratch import scratch_of, sweep_scratch
from registry_api.jobs.testing import a_job


def test_it_is_gone_with_the_attempt_and_what_another_left_with_it(tmp_path: Path) -> None:
    """The folders of other jobs stay."""
    job, other = a_job(), a_job()
    folder = tmp_path / "scratch"
    with scratch_of(other, folder) as theirs:
        for _attempt in range(2):
            left = folder / f"build-{job.id}-left"
            left.mkdir()
            with scratch_of(job, folder) as scratch:
                assert not left.exists()
                (scratch / "file").write_text("x")
            assert list(folder.iterdir()) == [theirs]


def test_what_must_be_gone_first_is_released_first(tmp_path: Path) -> None:
    """Of what was left and of what is used now, also when the attempt fails; each while it is still there."""
    job, released = a_job(), []

    def release(folder: Path) -> None:
        released.append((folder.name, folder.is_dir()))

    (tmp_path / f"build-{job.id}-left").mkdir()
    with pytest.raises(ValueError, match="no"), scratch_of(job, tmp_path, release=release) as scratch:
        raise ValueError("no")
    assert released == [(f"build-{job.id}-left", True), (scratch.name, True)]
    (tmp_path / f"build-{job.id}-more").mkdir()
    sweep_scratch(job, tmp_path, release=release)
    assert released[2:] == [(f"build-{job.id}-more", True)]
    assert list(tmp_path.iterdir()) == []
