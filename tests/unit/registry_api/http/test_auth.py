# SPDX-License-Identifier: Apache-2.0
"""Scopes and what they imply."""

from __future__ import annotations

import pytest

from core.errors import AuthError, ErrorCode
from registry_api.http.auth import Principal, Scope, check_scope
from registry_api.http.services import Services


def holder(*scopes: Scope) -> Principal:
    return Principal(tenant="acme", key_id="k", name="ci", scopes=frozenset(scopes))


def test_the_table_of_scopes() -> None:
    """Which scope grants which; administering the platform grants nothing inside a tenant."""
    granted = {held: {scope.value for scope in Scope if holder(held).allows(scope)} for held in Scope}
    assert granted == {
        Scope.PLATFORM_ADMIN: {"platform-admin"},
        Scope.ADMIN: {"admin", "push", "deploy", "infer", "read"},
        Scope.PUSH: {"push", "read"},
        Scope.DEPLOY: {"deploy", "read"},
        Scope.INFER: {"infer"},
        Scope.READ: {"read"},
        Scope.SERVE: {"serve", "read"},
    }


def test_one_of_several_scopes_is_enough() -> None:
    """None of them is AUTH_003, naming what would have been."""
    check_scope(holder(Scope.DEPLOY), Scope.PUSH, Scope.DEPLOY)
    with pytest.raises(AuthError) as caught:
        check_scope(holder(Scope.READ), Scope.PUSH, Scope.DEPLOY)
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
