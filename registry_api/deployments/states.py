# SPDX-License-Identifier: Apache-2.0
"""The life of a deployment: every state on its line, and the one table that moves it.

    event      pending    starting   running    stopping   stopped    failed
    begin      starting   starting   -          -          -          -
    ready      -          running    running    -          -          -
    lose       -          -          starting   -          -          -
    fail       failed     failed     failed     -          -          -
    revive     -          -          -          -          -          pending
    stop       stopping   stopping   stopping   -          -          -
    end        -          -          -          stopped    -          -

``begin`` may repeat: another worker takes the start over. A change of one that runs moves nothing until the change is
``ready``, which repeats. ``lose`` means that no instance answers any more; a worker starts it again. ``fail`` of a running
one means that this was tried too often. To start again what has stopped, its name is deployed again, which replaces the
row; one that has failed may also be changed, or rolled back, which revives it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class DeploymentState(StrEnum):
    """Where a deployment is."""

    PENDING = "pending"  # waits for a worker
    STARTING = "starting"  # nothing answers yet, or any more; a worker is at it, or will be after a pause
    RUNNING = "running"  # at least one instance has answered a real inference
    STOPPING = "stopping"  # waits for a worker to end it
    STOPPED = "stopped"  # ended because somebody asked
    FAILED = "failed"  # did not become ready, or ended by itself too often; the error says why

    @property
    def over(self) -> bool:
        """Whether nothing runs and nothing will by itself: its name may be used again."""
        return self in {DeploymentState.STOPPED, DeploymentState.FAILED}


class DeploymentEvent(StrEnum):
    """What happens to a deployment."""

    BEGIN = "begin"  # a worker starts it
    READY = "ready"  # what is wanted answered a real inference
    LOSE = "lose"  # its last instance is gone
    FAIL = "fail"  # it cannot start, or ends again and again
    REVIVE = "revive"  # somebody changed what had failed
    STOP = "stop"  # somebody asked for its end
    END = "end"  # nothing of it runs any more


MOVES: Final[Mapping[tuple[DeploymentState, DeploymentEvent], DeploymentState]] = MappingProxyType(
    {
        (DeploymentState.PENDING, DeploymentEvent.BEGIN): DeploymentState.STARTING,
        (DeploymentState.STARTING, DeploymentEvent.BEGIN): DeploymentState.STARTING,
        (DeploymentState.STARTING, DeploymentEvent.READY): DeploymentState.RUNNING,
        (DeploymentState.RUNNING, DeploymentEvent.READY): DeploymentState.RUNNING,
        (DeploymentState.RUNNING, DeploymentEvent.LOSE): DeploymentState.STARTING,
        (DeploymentState.PENDING, DeploymentEvent.FAIL): DeploymentState.FAILED,
        (DeploymentState.STARTING, DeploymentEvent.FAIL): DeploymentState.FAILED,
        (DeploymentState.RUNNING, DeploymentEvent.FAIL): DeploymentState.FAILED,
        (DeploymentState.FAILED, DeploymentEvent.REVIVE): DeploymentState.PENDING,
        (DeploymentState.PENDING, DeploymentEvent.STOP): DeploymentState.STOPPING,
        (DeploymentState.STARTING, DeploymentEvent.STOP): DeploymentState.STOPPING,
        (DeploymentState.RUNNING, DeploymentEvent.STOP): DeploymentState.STOPPING,
        (DeploymentState.STOPPING, DeploymentEvent.END): DeploymentState.STOPPED,
    }
)


def sources(event: DeploymentEvent) -> frozenset[DeploymentState]:
    """The states that ``event`` moves."""
    return frozenset(state for state, moved_by in MOVES if moved_by is event)


def target(event: DeploymentEvent) -> DeploymentState:
    """The state that ``event`` leads to, whatever it moves."""
    (found,) = {state for (_source, moved_by), state in MOVES.items() if moved_by is event}
    return found
