# SPDX-License-Identifier: Apache-2.0
"""Revisions and happenings as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from registry_api.deployments.values import Deployment, Template


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """What was wanted of a deployment, from some time on."""

    number: int  # from 1
    template: Template
    reason: str  # "" where nobody gave one
    created_by: str  # name of the API key that asked
    created_at: datetime


def first_revision(deployment: Deployment) -> Revision:
    """The revision of a deployment that was written by a process which knew of none."""
    return Revision(
        number=deployment.revision,
        template=deployment.template,
        reason="",
        created_by="",
        created_at=deployment.created_at,
    )


class HappeningKind(StrEnum):
    """What can happen to a deployment."""

    CREATED = "created"  # somebody deployed it
    UPDATED = "updated"  # somebody wants another revision
    ROLLED_BACK = "rolled_back"  # somebody wants what an earlier revision was
    SCALED = "scaled"  # somebody wants more or fewer instances
    STARTED = "started"  # an instance answered a real inference
    ADOPTED = "adopted"  # an instance that ran already is what is wanted
    SERVING = "serving"  # everything that is wanted is ready
    ENDED = "ended"  # an instance that is not wanted any more ended
    LOST = "lost"  # an instance is gone without anybody's wish
    DRIFTED = "drifted"  # an instance is not what it was made as; it is replaced
    RESTARTED = "restarted"  # a worker was asked to repair what is not as wanted
    FAULT = "fault"  # a job for it failed
    FAILED = "failed"  # given up
    STOPPED = "stopped"  # everything of it ended, as somebody asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One thing that happened."""

    kind: HappeningKind
    message: str
    at: datetime
