# SPDX-License-Identifier: Apache-2.0
"""The life of a job is exactly the table its module prints."""

from __future__ import annotations

import pytest

from core.errors import Conflict, ErrorCode
from registry_api.jobs import states
from registry_api.jobs.states import MOVES, JobEvent, JobState, Verdict, move, verdict


def _documented() -> dict[tuple[JobState, JobEvent], JobState]:
    rows = [line.replace("*", "").split() for line in (states.__doc__ or "").splitlines()]
    header = next(row for row in rows if row[:1] == ["event"])[1:]
    table = [row for row in rows if len(row) == len(header) + 1 and row[0] in set(JobEvent)]
    cells = ((state, row[0], cell) for row in table for state, cell in zip(header, row[1:], strict=True))
    return {(JobState(state), JobEvent(event)): JobState(cell) for state, event, cell in cells if cell != "-"}


def test_the_table_in_the_docstring_is_the_table_in_force() -> None:
    """The printed table and the moves agree, cell by cell."""
    assert _documented() == dict(MOVES)


@pytest.mark.parametrize("state", JobState)
@pytest.mark.parametrize("event", JobEvent)
def test_every_other_move_is_refused(state: JobState, event: JobEvent) -> None:
    """A move the table does not have raises STATE_001; the others give the table's state."""
    if (state, event) in MOVES:
        assert move(state, event) is MOVES[state, event]
        return
    with pytest.raises(Conflict) as refused:
        move(state, event)
    assert refused.value.code is ErrorCode.STATE_CONFLICT


@pytest.mark.parametrize("state", JobState)
def test_a_final_state_has_no_way_out(state: JobState) -> None:
    """A state is final exactly when no move starts from it."""
    assert state.final == (not any(source is state for source, _event in MOVES))


@pytest.mark.parametrize(
    ("attempt", "cancel", "expected"),
    [
        (1, False, Verdict.RUN),
        (3, False, Verdict.RUN),
        (4, False, Verdict.GIVE_UP),
        (1, True, Verdict.CANCEL),
        (4, True, Verdict.CANCEL),
    ],
)
def test_a_claimed_job_is_run_given_up_or_cancelled(attempt: int, cancel: bool, expected: Verdict) -> None:
    """With three attempts allowed the fourth claim gives up, and a wish to cancel wins over everything."""
    assert verdict(attempt=attempt, max_attempts=3, cancel_requested=cancel) is expected
