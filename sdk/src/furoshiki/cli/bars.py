# SPDX-License-Identifier: Apache-2.0
"""Progress on stderr: a bar on a terminal; elsewhere one line per step, so that a log stays readable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from furoshiki.cli.app import App
from furoshiki.jobs import Job, OnJob
from furoshiki.progress import OnProgress
from furoshiki.progress import Progress as Transfer

_VERBS: Final = {"hash": "Hashing", "upload": "Uploading", "download": "Downloading"}


@contextmanager
def transfer_bar(app: App) -> Iterator[OnProgress]:
    """A bar with bytes, speed and remaining time for each phase of a transfer."""
    with _bytes_bar(app) as bar:
        tasks: dict[str, TaskID] = {}

        def tell(transfer: Transfer) -> None:
            if transfer.phase not in tasks:
                tasks[transfer.phase] = bar.add_task("", total=transfer.total)
            described = f"{_VERBS[transfer.phase]} {transfer.path}"
            bar.update(tasks[transfer.phase], completed=transfer.done, description=described)

        yield tell


@contextmanager
def checking_bar(app: App, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar for bytes that are checked; gives the function that counts them."""
    with _bytes_bar(app) as bar:
        task = bar.add_task("Verifying", total=total)
        yield lambda count: bar.advance(task, count)


@contextmanager
def job_bar(app: App, what: str) -> Iterator[OnJob]:
    """A spinner with the step a job is at."""
    console = app.talk
    if not console.is_terminal:
        yield _line_per_step(app, what)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=1.0)

        def tell(job: Job) -> None:
            bar.update(task, completed=job.progress, description=f"{what}: {job.step or job.state}")

        yield tell


def _bytes_bar(app: App) -> Progress:
    console = app.talk
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _line_per_step(app: App, what: str) -> OnJob:
    said: list[str] = []

    def tell(job: Job) -> None:
        step = job.step or job.state
        if said[-1:] != [step]:
            said.append(step)
            app.say(f"{what}: {step}")

    return tell
