# SPDX-License-Identifier: Apache-2.0
"""What stands in the way of a deletion, and how to clear it. Pure.

    event      there     deleted   purged
    delete     deleted   -         -
    restore    -         there     -
    purge      -         purged    -          not before ``purge_at``
    create     -         -         there      models only, and only when no version is left; numbers go on

What is used is neither deleted nor purged. What is deleted is hidden and cannot come into use, so a purge finds no use but
one that began before its version was deleted and was still under way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from core.errors import Conflict, ErrorCode
from registry_api.models.values import Deletion

MAX_TOLD: Final = 50  # uses in one refusal


class Use(StrEnum):
    """What uses a version; the comment on each line is what the use's name is."""

    PRODUCTION = "production"  # the stage's
    ALIAS = "alias"  # the alias's
    DEPLOYMENT = "deployment"  # the deployment's
    BUILD = "build"  # the id of the job
    IMAGE = "image"  # the id of the job
    TUNING = "tuning"  # the id of the job
    CONVERSION = "conversion"  # the id of the job


CLEARED_BY: Final[dict[Use, str]] = {
    Use.PRODUCTION: "Promote another version, or move this one to another stage.",
    Use.ALIAS: "Point the alias at another version, or remove it.",
    Use.DEPLOYMENT: "Stop the deployment.",
    Use.BUILD: "Wait for the job, or cancel it.",
    Use.IMAGE: "Wait for the job, or cancel it.",
    Use.TUNING: "Wait for the job, or cancel it.",
    Use.CONVERSION: "Wait for the job, or cancel it.",
}
"""How each use ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """One use of one version."""

    version: int
    use: Use
    name: str


def check_unused(subject: str, found: Sequence[Used]) -> None:
    """Checks that nothing stands in the way.

    Args:
        subject: What is to be deleted: ``acme/digits@3``, ``acme/digits``.
        found: Every use of it.

    Raises:
        Conflict: ``STATE_004``; its details list each use and how to clear it.
    """
    if not found:
        return
    told: list[dict[str, str | int]] = [
        {"use": used.use, "version": used.version, "name": used.name, "clear": CLEARED_BY[used.use]}
        for used in found[:MAX_TOLD]
    ]
    first = "; ".join(f"{used.use} {used.name!r} uses version {used.version}" for used in found[:3])
    more = "" if len(found) <= 3 else f"; and {len(found) - 3} more"
    raise Conflict(
        ErrorCode.STILL_USED,
        f"'{subject}' is in use: {first}{more}. Clear each as the details say, then delete again.",
        details={"uses": told, "count": len(found)},
    )


def is_due(deletion: Deletion | None, now: datetime) -> bool:
    """Whether something may be purged; None: it is not deleted."""
    return deletion is not None and deletion.purge_at <= now
