# SPDX-License-Identifier: Apache-2.0
"""The stage machine."""

from __future__ import annotations

import pytest

from core.errors import AuthError, Conflict, ErrorCode
from registry_api.http.access import Role
from registry_api.http.auth import Principal
from registry_api.models.values import Stage
from registry_api.promotion.policy import REPLACED, TRANSITIONS, check_actor, check_servable, check_transition


def allowed(before: Stage, after: Stage) -> bool:
    try:
        check_transition(before, after)
    except Conflict:
        return False
    return True


def test_the_table_of_transitions() -> None:
    """Rows are where a version stands, columns where it may go, in the order of the stages."""
    table = {before.value: "".join("x" if allowed(before, after) else "." for after in Stage) for before in Stage}
    assert table == {
        "DEVELOPMENT": ".x.x",
        "STAGING": "x.xx",
        "PRODUCTION": ".x.x",
        "DEPRECATED": ".x..",
    }


def test_a_refused_move_names_the_allowed_ones() -> None:
    """STATE_001 with the row of the table."""
    with pytest.raises(Conflict) as caught:
        check_transition(Stage.DEVELOPMENT, Stage.PRODUCTION)
    assert caught.value.code is ErrorCode.STATE_CONFLICT
    assert caught.value.details["allowed"] == sorted(TRANSITIONS[Stage.DEVELOPMENT])


def test_a_replaced_version_goes_where_it_may_go() -> None:
    """And from there it can be promoted again."""
    assert allowed(Stage.PRODUCTION, REPLACED)
    assert allowed(REPLACED, Stage.PRODUCTION)


@pytest.mark.parametrize(
    ("before", "after", "able"),
    [
        (Stage.DEVELOPMENT, Stage.STAGING, {Role.DEVELOPER, Role.MODEL_ADMIN, Role.TENANT_ADMIN}),
        (Stage.STAGING, Stage.PRODUCTION, {Role.MODEL_ADMIN, Role.TENANT_ADMIN}),
        (Stage.PRODUCTION, Stage.STAGING, {Role.MODEL_ADMIN, Role.TENANT_ADMIN}),
    ],
)
def test_what_touches_production_needs_an_administrator_of_models(before: Stage, after: Stage, able: set[Role]) -> None:
    """Every other move is a developer's, too; nobody else moves anything."""
    assert {role for role in Role if may_move(role, before, after)} == able


@pytest.mark.parametrize(
    ("formats", "able"),
    [(("keras",), False), (("keras", "factory"), False), (("keras", "tflite"), True), (("a-plugin's",), True)],
)
def test_what_nothing_loads_never_enters_production(formats: tuple[str, ...], able: bool) -> None:
    """A version whose every form is only converted is refused with its formats; any other stage takes it."""
    for stage in Stage:
        if able or stage is not Stage.PRODUCTION:
            check_servable("acme/digits@1", formats, stage)
    if not able:
        with pytest.raises(Conflict, match="cannot be served") as caught:
            check_servable("acme/digits@1", formats, Stage.PRODUCTION)
        assert caught.value.details == {"formats": sorted(formats)}


def may_move(role: Role, before: Stage, after: Stage) -> bool:
    try:
        check_actor(Principal(tenant="a", key_id="k", name="n", roles=frozenset({role})), before, after)
    except AuthError:
        return False
    return True
