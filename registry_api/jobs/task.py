# SPDX-License-Identifier: Apache-2.0
"""What a handler says while it works, gathered between heartbeats. Safe to call from any thread; bounded."""

from __future__ import annotations

import threading
from typing import Final

from registry_api.jobs.interface import Job, Pulse
from registry_api.jobs.log import STEP_CHARS


class Task:
    """What the handler talks to; what it says is written at the next heartbeat."""

    def __init__(self, job: Job, *, log_bytes: int) -> None:
        self._job: Final = job
        self._log_bytes: Final = log_bytes
        self._lock: Final = threading.Lock()
        self._lines: list[str] = []
        self._held = 0
        self._fraction, self._step = job.progress, job.step

    @property
    def job(self) -> Job:
        """The job as it was when it was claimed."""
        return self._job

    def progress(self, fraction: float, step: str) -> None:
        """Tells how far the attempt is."""
        with self._lock:
            self._fraction, self._step = min(max(fraction, 0.0), 1.0), step[:STEP_CHARS]

    def log(self, line: str) -> None:
        """Appends a line to the job's log."""
        with self._lock:
            if self._held <= self._log_bytes:
                self._lines.append(line + "\n")
                self._held += len(line) + 1

    def take(self) -> Pulse:
        """What was said since the last call."""
        with self._lock:
            lines, self._lines, self._held = "".join(self._lines), [], 0
            return Pulse(progress=self._fraction, step=self._step, lines=lines)

    def put_back(self, pulse: Pulse) -> None:
        """Keeps the lines of a pulse that could not be written for the next one."""
        with self._lock:
            self._lines.insert(0, pulse.lines)
            self._held += len(pulse.lines)
