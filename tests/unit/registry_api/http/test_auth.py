# SPDX-License-Identifier: Apache-2.0
"""Scopes and what they imply."""

from __future__ import annotations

import pytest

from core.errors import AuthError, ErrorCode
from registry_api.http.access import Role
from registry_api.http.auth import Principal, check_scope
from registry_api.http.services import Services


def holder(*roles: Role) -> Principal:
    return Principal(tenant="acme", key_id="k", name="ci", roles=frozenset(roles))


def test_the_table_of_scopes() -> None:
    """Which scope grants which; administering the platform grants nothing inside a tenant."""
    granted = {held: {scope.value for scope in Scope if holder(held).allows(scope)} for held in Scope}
    assert granted == {
        Role.PLATFORM_ADMIN: {"platform-admin"},
        Role.TENANT_ADMIN: {"admin", "push", "deploy", "infer", "read"},
        Role.DEVELOPER: {"push", "read"},
        Role.MODEL_ADMIN: {"deploy", "read"},
        Role.USER: {"infer"},
        Role.VIEWER: {"read"},
        Role.SERVICE: {"serve", "read"},
    }


def test_one_of_several_scopes_is_enough() -> None:
    """None of them is AUTH_003, naming what would have been."""
    check_scope(holder(Role.MODEL_ADMIN), Role.DEVELOPER, Role.MODEL_ADMIN)
    with pytest.raises(AuthError) as caught:
        check_scope(holder(Role.VIEWER), Role.DEVELOPER, Role.MODEL_ADMIN)
    assert caught.value.code is ErrorCode.AUTH_FORBIDDEN
    assert caught.value.details == {"required": ["push", "deploy"]}


def test_a_container_gives_what_was_added_once() -> None:
    """Adding a kind twice and asking for one never added are mistakes of ours, told at once."""
    services = Services()
    services.add(str, "x")
    assert services.get(str) == "x"
    with pytest.raises(ValueError, match="registered already"):
        services.add(str, "y")
    with pytest.raises(LookupError, match=r"bootstrap\.py"):
        services.get(int)
