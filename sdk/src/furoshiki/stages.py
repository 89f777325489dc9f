# SPDX-License-Identifier: Apache-2.0
"""Stages beyond a single move: rollback, what was in production when, and deprecation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from furoshiki.api import API, get_request, json_request
from furoshiki.resource import D, Resource, operation
from furoshiki.steps import Request, Steps, path
from furoshiki.versions import Version


class StageChange(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a model's history."""

    seq: int = 0  # its place in the tenant's history
    version: int
    from_stage: str = msgspec.field(name="from")
    to_stage: str = msgspec.field(name="to")
    cause: str = "request"  # or "replaced", "rollback"
    reason: str
    actor: str  # name of the API key
    actor_key: str  # id of the API key
    evidence: dict[str, Any] = {}
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Production:
    """What was in PRODUCTION at a moment."""

    model: str
    at: datetime
    version: int | None = None  # None: nothing was
    since: StageChange | None = None  # the change that put it there


class Stages(Resource[D]):
    """``client.stages``."""

    @operation
    def rollback(self, model: str, *, reason: str) -> Steps[Version]:
        """Brings back the version that was in PRODUCTION before.

        Raises:
            Conflict: ``STATE_001`` if there is none, or it left STAGING.
        """
        request = json_request("POST", path("models", model, "rollback"), {"reason": reason})
        return (yield from self._api.fetch(request, Version))

    @operation
    def production_at(self, model: str, moment: datetime) -> Steps[Production]:
        """What was in PRODUCTION at an aware moment, since when, by whom and why."""
        request = get_request(path("models", model, "production"), {"at": moment.isoformat()})
        return (yield from self._api.fetch(request, Production))

    @operation
    def deprecate(
        self, model: str, version: int, *, reason: str, sunset: datetime | None = None, message: str = ""
    ) -> Steps[Version]:
        """Says that a version is not to be used any more; inference answers of it carry that from then on.

        Args:
            model: The model.
            version: Its version.
            reason: Why, for the history.
            sunset: When it may stop being served; None: not decided.
            message: What to use instead.
        """
        fields = {"sunset": None if sunset is None else sunset.isoformat(), "message": message, "reason": reason}
        request = json_request("PUT", path("models", model, "versions", version, "deprecation"), fields)
        return (yield from self._api.fetch(request, Version))

    @operation
    def restore(self, model: str, version: int, *, reason: str) -> Steps[Version]:
        """Takes a deprecation back."""
        where = path("models", model, "versions", version, "deprecation")
        return (
            yield from self._api.fetch(Request(method="DELETE", path=API + where, query={"reason": reason}), Version)
        )
