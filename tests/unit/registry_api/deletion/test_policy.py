# SPDX-License-Identifier: Apache-2.0
"""What stands in the way of a deletion."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from core.errors import Conflict, ErrorCode
from registry_api.deletion.policy import CLEARED_BY, MAX_TOLD, Use, Used, check_unused, is_due
from registry_api.models.values import Deletion

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def refused(*found: Used) -> Conflict:
    with pytest.raises(Conflict) as caught:
        check_unused("acme/digits", found)
    assert caught.value.code is ErrorCode.STILL_USED
    return caught.value


def test_the_table_of_uses() -> None:
    """Every use has a way to end it, a sentence for whoever reads the refusal."""
    assert {use.value: CLEARED_BY[use] for use in Use} == {
        "production": "Promote another version, or move this one to another stage.",
        "alias": "Point the alias at another version, or remove it.",
        "deployment": "Stop the deployment.",
        "build": "Wait for the job, or cancel it.",
        "image": "Wait for the job, or cancel it.",
        "tuning": "Wait for the job, or cancel it.",
        "conversion": "Wait for the job, or cancel it.",
    }


def test_what_nothing_uses_may_be_deleted() -> None:
    """No use, no refusal."""
    check_unused("acme/digits@3", ())


@pytest.mark.parametrize("use", Use)
def test_each_use_alone_stands_in_the_way(use: Use) -> None:
    """STATE_004 with version, name and way to clear it."""
    error = refused(Used(version=3, use=use, name="x"))
    assert error.details == {
        "uses": [{"use": use, "version": 3, "name": "x", "clear": CLEARED_BY[use]}],
        "count": 1,
    }
    assert error.message.startswith(f"'acme/digits' is in use: {use} 'x' uses version 3.")


def test_a_refusal_is_bounded() -> None:
    """The message names three uses and counts the others; the details list some and count all."""
    error = refused(*(Used(version=1, use=Use.ALIAS, name=f"a{at}") for at in range(MAX_TOLD + 5)))
    assert error.details["count"] == MAX_TOLD + 5
    assert len(error.details["uses"]) == MAX_TOLD  # type: ignore[arg-type]
    assert error.message.count("alias 'a") == 3
    assert f"and {MAX_TOLD + 2} more" in error.message


@pytest.mark.parametrize(("seconds", "due"), [(-1, False), (0, True), (1, True)])
def test_a_purge_is_due_from_its_moment_on(seconds: float, due: bool) -> None:
    """Not before ``purge_at``; what is not deleted never is."""
    deletion = Deletion(at=NOW - timedelta(days=30), by="ann", reason="old", purge_at=NOW)
    assert is_due(deletion, NOW + timedelta(seconds=seconds)) is due
    assert not is_due(None, NOW)
