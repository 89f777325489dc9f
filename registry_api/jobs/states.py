# SPDX-License-Identifier: Apache-2.0
"""The life of a job: every state on its line, and the one table that moves it.

    event      queued      running      succeeded   failed   cancelled
    claim      running     running *    -           -        -
    release    -           queued       -           -        -
    retry      -           queued       -           -        -
    succeed    -           succeeded    -           -        -
    fail       -           failed       -           -        -
    cancel     -           cancelled    -           -        -

(*) only after the lease has expired: another worker takes the job over. A wish to cancel is a mark on the row, not an
event: the worker that holds (or next claims) the job ends it, so that each end is written in one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from core.errors import Conflict, ErrorCode


class JobState(StrEnum):
    """Where a job is."""

    QUEUED = "queued"  # waits for a worker
    RUNNING = "running"  # a worker holds its lease, or held it until it expired
    SUCCEEDED = "succeeded"  # its result was applied, once
    FAILED = "failed"  # it ended without a result; the error says why
    CANCELLED = "cancelled"  # somebody asked for its end before it had a result

    @property
    def final(self) -> bool:
        """Whether no event moves a job out of this state."""
        return self in _FINAL


class JobEvent(StrEnum):
    """What happens to a job."""

    CLAIM = "claim"  # a worker takes the lease
    RELEASE = "release"  # the worker stops and gives the job back; the attempt does not count
    RETRY = "retry"  # the attempt failed for a reason that may pass
    SUCCEED = "succeed"  # the handler returned a result
    FAIL = "fail"  # the handler failed for good, ran out of time or out of attempts
    CANCEL = "cancel"  # the handler was stopped because somebody asked for it


class Verdict(StrEnum):
    """What a worker does with a job it just claimed."""

    RUN = "run"
    CANCEL = "cancel"  # somebody asked for its end while nobody held it
    GIVE_UP = "give_up"  # every attempt allowed was lost with its worker


_FINAL: Final = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})

MOVES: Final[Mapping[tuple[JobState, JobEvent], JobState]] = MappingProxyType(
    {
        (JobState.QUEUED, JobEvent.CLAIM): JobState.RUNNING,
        (JobState.RUNNING, JobEvent.CLAIM): JobState.RUNNING,
        (JobState.RUNNING, JobEvent.RELEASE): JobState.QUEUED,
        (JobState.RUNNING, JobEvent.RETRY): JobState.QUEUED,
        (JobState.RUNNING, JobEvent.SUCCEED): JobState.SUCCEEDED,
        (JobState.RUNNING, JobEvent.FAIL): JobState.FAILED,
        (JobState.RUNNING, JobEvent.CANCEL): JobState.CANCELLED,
    }
)


def move(state: JobState, event: JobEvent) -> JobState:
    """The state after ``event``.

    Raises:
        Conflict: ``STATE_001`` if the table has no such move.
    """
    target = MOVES.get((state, event))
    if target is None:
        raise Conflict(ErrorCode.STATE_CONFLICT, f"A {state} job cannot {event}.")
    return target


def verdict(*, attempt: int, max_attempts: int, cancel_requested: bool) -> Verdict:
    """What to do with a claimed job.

    Args:
        attempt: The number of the attempt that would start now, from 1.
        max_attempts: The most attempts allowed.
        cancel_requested: Whether somebody asked for the job's end.
    """
    if cancel_requested:
        return Verdict.CANCEL
    return Verdict.RUN if attempt <= max_attempts else Verdict.GIVE_UP
