# SPDX-License-Identifier: Apache-2.0
"""Stage changes as the API speaks of them."""

from __future__ import annotations

from pydantic import Field

from registry_api.http.fields import Incoming, Line, Outgoing, Timestamp
from registry_api.models.values import Stage
from registry_api.promotion.values import StageChange


class StageIn(Incoming):
    """Where a version is to go, and why."""

    stage: Stage
    reason: Line


class StageChangeOut(Outgoing):
    """Who moved what, when, from where to where, and why."""

    version: int
    from_stage: Stage = Field(serialization_alias="from")
    to_stage: Stage = Field(serialization_alias="to")
    reason: str
    actor: str = Field(description="Name of the API key.")
    actor_key: str = Field(description="Id of the API key.")
    at: Timestamp

    @classmethod
    def of(cls, change: StageChange) -> StageChangeOut:
        """Shows a change."""
        return cls(
            version=change.version,
            from_stage=change.before,
            to_stage=change.after,
            reason=change.reason,
            actor=change.actor,
            actor_key=change.actor_key,
            at=change.at,
        )
