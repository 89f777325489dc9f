# SPDX-License-Identifier: Apache-2.0
"""Progress: bars where somebody watches, lines where nobody does."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime

from rich.console import Console

from furoshiki import Job, Progress
from furoshiki.cli.app import App
from furoshiki.cli.bars import checking_bar, job_bar, transfer_bar


class Watched(App):
    """An app whose stderr is a terminal that remembers everything."""

    def __init__(self) -> None:
        super().__init__()
        self.screen = io.StringIO()

    @property
    def talk(self) -> Console:
        return Console(file=self.screen, force_terminal=True, width=120)

    def seen(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.screen.getvalue())


def job(**fields: object) -> Job:
    values = {"id": "j", "kind": "build", "state": "running", "created_at": datetime(2026, 1, 1, tzinfo=UTC)} | fields
    return Job(**values)  # type: ignore[arg-type]


def test_transfer_shows_file_and_bytes() -> None:
    """A transfer shows what it does with which file, and how many bytes of how many."""
    app = Watched()
    with transfer_bar(app) as tell:
        tell(Progress(phase="hash", path="model.onnx", done=5000, total=5000))
        tell(Progress(phase="upload", path="model.onnx", done=2500, total=5000))
    assert "Hashing model.onnx" in app.seen()
    assert "Uploading model.onnx" in app.seen()
    assert "2.5/5.0 kB" in app.seen()


def test_job_shows_its_step() -> None:
    """A wait shows what the job does now."""
    app = Watched()
    with job_bar(app, "Building digits@1") as tell:
        tell(job(step="packing", progress=0.5))
    assert "Building digits@1: packing" in app.seen()


def test_check_counts_bytes() -> None:
    """A verification shows the bytes checked so far."""
    app = Watched()
    with checking_bar(app, 2000) as count:
        count(1000)
    assert "Verifying" in app.seen()
    assert "1.0/2.0 kB" in app.seen()


def test_unwatched_steps_are_said_once() -> None:
    """Without a terminal each step is one line, however often it is looked at."""
    said: list[str] = []

    class Unwatched(App):
        def say(self, text: str) -> None:
            said.append(text)

    with job_bar(Unwatched(), "Building") as tell:
        for step in ("packing", "packing", "signing"):
            tell(job(step=step))
        tell(job(step="", state="succeeded"))
    assert said == ["Building: packing", "Building: signing", "Building: succeeded"]
