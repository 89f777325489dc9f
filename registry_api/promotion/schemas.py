# SPDX-License-Identifier: Apache-2.0
"""Stages, their history, aliases and deprecation as the API speaks of them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from registry_api.http.fields import (
    MAX_VERSION,
    Incoming,
    Line,
    Moment,
    Outgoing,
    Text,
    Timestamp,
    VersionNumber,
    whole,
)
from registry_api.models.values import Stage
from registry_api.promotion.values import Alias, StageChange


class StageIn(Incoming):
    """Where a version is to go, and why."""

    stage: Stage
    reason: Line
    override: bool = Field(
        default=False, description="Although gates are not met, if they permit it; needs `tenant-admin`. Recorded."
    )


class RollbackIn(Incoming):
    """Why."""

    reason: Line


class StageChangeOut(Outgoing):
    """Who moved what, when, from where to where, and why."""

    seq: int = Field(description="Its place in the tenant's history.")
    version: int
    from_stage: Stage = Field(serialization_alias="from")
    to_stage: Stage = Field(serialization_alias="to")
    cause: str = Field(description="`request`, `replaced` or `rollback`.")
    reason: str
    actor: str = Field(description="Name of the API key.")
    actor_key: str = Field(description="Id of the API key.")
    evidence: dict[str, Any] = Field(description="What it was decided on: digests, approvals, overridden gates.")
    at: Timestamp

    @classmethod
    def of(cls, change: StageChange) -> StageChangeOut:
        """Shows a change."""
        return cls(
            seq=change.seq,
            version=change.version,
            from_stage=change.before,
            to_stage=change.after,
            cause=change.cause,
            reason=change.reason,
            actor=change.actor,
            actor_key=change.actor_key,
            evidence=dict(change.evidence),
            at=change.at,
        )


class ProductionOut(Outgoing):
    """What was in PRODUCTION at a moment."""

    model: str
    at: Timestamp
    version: int | None = Field(description="Null: none was.")
    since: StageChangeOut | None = Field(description="The change that put it there.")


class AliasIn(Incoming):
    """Where an alias is to point."""

    version: VersionNumber
    expected: Annotated[int | None, Field(strict=True, ge=1), BeforeValidator(whole)] = Field(
        default=None, description="The version it points at now; null: there is no such alias yet."
    )
    reason: Line
    override: bool = Field(
        default=False, description="Although gates are not met, if they permit it; needs `tenant-admin`. Recorded."
    )


class AliasRemoval(Incoming):
    """Where an alias points that is to go, and why."""

    expected: Annotated[int, Field(ge=1, le=MAX_VERSION, description="The version it points at now.")]
    reason: Annotated[Line, Field(description="Why, for the history.")]


class AliasOut(Outgoing):
    """A movable name of a version."""

    model: str
    alias: str
    version: int
    moved_at: Timestamp
    moved_by: str = Field(description="Name of the API key.")

    @classmethod
    def of(cls, alias: Alias) -> AliasOut:
        """Shows an alias."""
        return cls(
            model=alias.model,
            alias=alias.name,
            version=alias.version,
            moved_at=alias.moved_at,
            moved_by=alias.moved_by,
        )


class DeprecationIn(Incoming):
    """That a version is not to be used any more."""

    sunset: Moment | None = Field(default=None, description="When it may stop being served; null: not decided.")
    message: Text = Field(default="", description="What to use instead.")
    reason: Line
