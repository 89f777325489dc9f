# SPDX-License-Identifier: Apache-2.0
"""The life of a deployment: every state on its line, and the one table that moves it.

    event      pending    starting   running    stopping   stopped    failed
    begin      starting   starting   -          -          -          -
    ready      -          running    -          -          -          -
    fail       failed     failed     failed     -          -          -
    stop       stopping   stopping   stopping   -          -          -
    end        -          -          -          stopped    -          -

``begin`` may repeat: another worker takes the start over. ``fail`` of a running one means that it was found gone. To
start again what has stopped or failed, its name is deployed again, which replaces the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class DeploymentState(StrEnum):
    """Where a deployment is."""

    PENDING = "pending"  # waits for a worker
    STARTING = "starting"  # fetched, verified, started, not yet proven ready
    RUNNING = "running"  # has answered a real inference
    STOPPING = "stopping"  # waits for a worker to end it
    STOPPED = "stopped"  # ended because somebody asked
    FAILED = "failed"  # did not become ready, or ended by itself; the error says why

    @property
    def over(self) -> bool:
        """Whether nothing runs and nothing will: its name may be used again."""
        return self in {DeploymentState.STOPPED, DeploymentState.FAILED}


class DeploymentEvent(StrEnum):
    """What happens to a deployment."""

    BEGIN = "begin"  # a worker starts it
    READY = "ready"  # it answered a real inference
    FAIL = "fail"  # it cannot start, or is gone
    STOP = "stop"  # somebody asked for its end
    END = "end"  # nothing of it runs any more


MOVES: Final[Mapping[tuple[DeploymentState, DeploymentEvent], DeploymentState]] = MappingProxyType(
    {
        (DeploymentState.PENDING, DeploymentEvent.BEGIN): DeploymentState.STARTING,
        (DeploymentState.STARTING, DeploymentEvent.BEGIN): DeploymentState.STARTING,
        (DeploymentState.STARTING, DeploymentEvent.READY): DeploymentState.RUNNING,
        (DeploymentState.PENDING, DeploymentEvent.FAIL): DeploymentState.FAILED,
        (DeploymentState.STARTING, DeploymentEvent.FAIL): DeploymentState.FAILED,
        (DeploymentState.RUNNING, DeploymentEvent.FAIL): DeploymentState.FAILED,
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
