# SPDX-License-Identifier: Apache-2.0
"""Which moves between stages exist, and who may make them. Pure: one table and three checks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from artifacts.formats import FORMATS
from core.errors import Conflict, ErrorCode
from registry_api.http.access import Action
from registry_api.http.auth import Principal, check
from registry_api.models.values import Stage

TRANSITIONS: Final[dict[Stage, frozenset[Stage]]] = {
    Stage.DEVELOPMENT: frozenset({Stage.STAGING, Stage.DEPRECATED}),
    Stage.STAGING: frozenset({Stage.DEVELOPMENT, Stage.PRODUCTION, Stage.DEPRECATED}),
    Stage.PRODUCTION: frozenset({Stage.STAGING, Stage.DEPRECATED}),
    Stage.DEPRECATED: frozenset({Stage.STAGING}),
}
"""From each stage, where a version may go. Nothing enters PRODUCTION without having been in STAGING."""

REPLACED: Final = Stage.STAGING
"""Where a version goes that another one replaces in PRODUCTION: promoting it again is the way back."""


def check_transition(before: Stage, after: Stage) -> None:
    """Checks that the table allows the move.

    Raises:
        Conflict: ``STATE_001``, naming the moves that are allowed.
    """
    allowed = sorted(TRANSITIONS[before])
    if after not in allowed:
        raise Conflict(
            ErrorCode.STATE_CONFLICT,
            f"A version in {before} cannot go to {after}; from here it can go to {', '.join(allowed)}.",
            details={"stage": before, "allowed": list(allowed)},
        )


def check_servable(ref: str, formats: Iterable[str], after: Stage) -> None:
    """Checks that what goes to production has a variant that a runner loads; a plugin may load what is not listed.

    Args:
        ref: Of the version, for the message.
        formats: Of its variants.
        after: Where it goes.

    Raises:
        Conflict: ``STATE_001`` if it has none.
    """
    known = sorted(set(formats))
    if after is Stage.PRODUCTION and not any(name not in FORMATS or FORMATS[name].executable for name in known):
        raise Conflict(
            ErrorCode.STATE_CONFLICT,
            f"{ref} cannot be served: no runner loads {', '.join(known)}. Convert it to an executable form, then promote it.",
            details={"formats": known},
        )


def check_actor(principal: Principal, before: Stage, after: Stage) -> None:
    """Checks that the caller may make the move: what touches production needs more.

    Raises:
        AuthError: ``AUTH_003`` if it may not.
    """
    check(principal, Action.STAGES_PROMOTE if Stage.PRODUCTION in (before, after) else Action.STAGES_MOVE)
