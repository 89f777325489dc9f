# SPDX-License-Identifier: Apache-2.0
"""``furo jobs``, ``furo builds`` and ``furo cancel``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

Run: TypeAlias = Callable[..., Any]  # the fixture: runs furo


@pytest.fixture
def built(run: Run, model_file: Path) -> dict[str, Any]:
    """A finished build."""
    assert run("push", str(model_file), "--name", "digits").code == 0
    return dict(run("build", "digits@1", "--wait", "-o", "json").json)


def test_builds_are_listed_and_shown(run: Run, built: dict[str, Any]) -> None:
    """One line each, newest first; by its id everything about one."""
    newer = run("build", "digits@1", "-o", "json").json["id"]
    assert [build["id"] for build in run("builds", "-o", "json").json] == [newer, built["id"]]
    assert run("builds").out.split()[:3] == ["BUILD", "MODEL", "VERSION"]
    assert built["digest"] in run("builds", built["id"]).out
    assert run("builds", "nope").code == 5


def test_jobs_are_listed_and_shown(run: Run, built: dict[str, Any]) -> None:
    """All, those of a state or kind, or one by its id."""
    job = built["job_id"]
    assert [each["id"] for each in run("jobs", "-o", "json").json] == [job]
    assert [each["id"] for each in run("jobs", "--state", "succeeded", "--kind", "build", "-o", "json").json] == [job]
    assert run("jobs", "--state", "failed", "-o", "json").json == []
    shown = run("jobs", job).out
    assert (job in shown, "succeeded" in shown) == (True, True)
    assert run("jobs", "nope").code == 5
    assert run("jobs", "--state", "lost").code == 2
