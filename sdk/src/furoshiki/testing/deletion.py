# SPDX-License-Identifier: Apache-2.0
"""How the fake deletes and restores: what is deleted stays in its place, marked, and is found by nobody else."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from furoshiki.testing.catalogue import check, tagged
from furoshiki.testing.clock import ManualClock
from furoshiki.testing.exchange import Answer, Call, Problem

RETENTION: Final = timedelta(days=30)


def listed(resources: Iterable[dict[str, Any]], call: Call) -> list[dict[str, Any]]:
    """Those that are deleted if the call asks for them, else the others."""
    return [each for each in resources if (each["deletion"] is not None) == (call.query.get("deleted") == "true")]


def delete(call: Call, resource: dict[str, Any], clock: ManualClock) -> Answer:
    """Deletes a version or a model.

    Raises:
        Problem: 409 ``STATE_004`` if it is in production.
    """
    check(resource, call)
    if resource.get("stage") == "PRODUCTION" or resource.get("production_version"):
        number = resource.get("version", resource.get("production_version"))
        use = {"use": "production", "version": number, "name": "PRODUCTION", "clear": "Promote another version."}
        message = f"It is in use: production 'PRODUCTION' uses version {number}."
        raise Problem(409, "STATE_004", message, details={"uses": [use], "count": 1})
    at, until = (moment.isoformat().replace("+00:00", "Z") for moment in (clock.now(), clock.now() + RETENTION))
    resource["deletion"] = {"at": at, "by": "test", "reason": call.query["reason"], "purge_at": until}
    return tagged(resource)


def restore(call: Call, resource: dict[str, Any] | None) -> Answer:
    """Restores a version or a model.

    Raises:
        Problem: 404 ``MODEL_001`` if it is not deleted.
    """
    if resource is None or resource["deletion"] is None:
        raise Problem(404, "MODEL_001", "There is nothing of that name that is deleted.")
    check(resource, call)
    resource["deletion"] = None
    return tagged(resource)
