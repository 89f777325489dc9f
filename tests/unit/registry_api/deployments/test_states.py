# SPDX-License-Identifier: Apache-2.0
"""The life of a deployment is exactly the table its module prints."""

from __future__ import annotations

import pytest

from registry_api.deployments import states
from registry_api.deployments.states import MOVES, DeploymentEvent, DeploymentState, sources, target


def _documented() -> dict[tuple[DeploymentState, DeploymentEvent], DeploymentState]:
    rows = [line.split() for line in (states.__doc__ or "").splitlines()]
    header = next(row for row in rows if row[:1] == ["event"])[1:]
    table = [row for row in rows if len(row) == len(header) + 1 and row[0] in set(DeploymentEvent)]
    cells = ((state, row[0], cell) for row in table for state, cell in zip(header, row[1:], strict=True))
    return {
        (DeploymentState(state), DeploymentEvent(event)): DeploymentState(cell)
        for state, event, cell in cells
        if cell != "-"
    }


def test_the_table_in_the_docstring_is_the_table_in_force() -> None:
    """The printed table and the moves agree, cell by cell."""
    assert _documented() == dict(MOVES)


@pytest.mark.parametrize("event", DeploymentEvent)
def test_an_event_leads_to_one_state_whatever_it_moves(event: DeploymentEvent) -> None:
    """sources and target tell the same table, seen from the event."""
    assert {(state, event): target(event) for state in sources(event)} == {
        (state, moved_by): end for (state, moved_by), end in MOVES.items() if moved_by is event
    }


@pytest.mark.parametrize("state", DeploymentState)
def test_what_is_over_stays_over(state: DeploymentState) -> None:
    """A deployment is over exactly when nothing moves it but somebody who changes what has failed."""
    moving = {event for source, event in MOVES if source is state}
    assert state.over == (moving <= {DeploymentEvent.REVIVE})
