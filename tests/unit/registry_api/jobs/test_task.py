# SPDX-License-Identifier: Apache-2.0
"""What a handler says is kept until the next heartbeat, within bounds."""

from __future__ import annotations

from registry_api.jobs.interface import Pulse
from registry_api.jobs.task import Task
from registry_api.jobs.testing import a_job

JOB = a_job(progress=0.25, step="before")


def test_a_pulse_carries_what_was_said_since_the_last_one() -> None:
    """Lines are handed over once; progress and step stay until they change."""
    task = Task(JOB, log_bytes=100)
    assert task.take() == Pulse(progress=0.25, step="before", lines="")
    task.progress(0.5, "half")
    task.log("one")
    task.log("two")
    assert task.take() == Pulse(progress=0.5, step="half", lines="one\ntwo\n")
    assert task.take() == Pulse(progress=0.5, step="half", lines="")


def test_a_pulse_that_was_not_written_is_not_lost() -> None:
    """Lines put back come first in the next pulse."""
    task = Task(JOB, log_bytes=100)
    task.log("one")
    lost = task.take()
    task.log("two")
    task.put_back(lost)
    assert task.take().lines == "one\ntwo\n"


def test_a_handler_that_talks_without_end_fills_no_memory() -> None:
    """Beyond the log's limit lines are dropped until the next heartbeat."""
    task = Task(JOB, log_bytes=100)
    for _ in range(1000):
        task.log("x" * 49)
    assert len(task.take().lines) <= 150


def test_progress_stays_between_0_and_1() -> None:
    """A fraction out of range is the nearest in range, and a step is cut to what the table holds."""
    task = Task(JOB, log_bytes=100)
    task.progress(7.0, "s" * 1000)
    assert (task.take().progress, len(task.take().step)) == (1.0, 200)
    task.progress(-1.0, "")
    assert task.take().progress == 0.0
