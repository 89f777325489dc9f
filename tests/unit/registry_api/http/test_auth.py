# SPDX-License-Identifier: Apache-2.0
"""Roles, what they may do, and the guard that asks."""

from __future__ import annotations

from typing import Final

import pytest

from core.errors import AuthError, ErrorCode
from registry_api.http.access import GRANTS, Action, Resource, ResourcePolicy, Role
from registry_api.http.auth import Principal, check
from registry_api.http.services import Services

TABLE: Final = """
                    viewer user developer approver model-admin tenant-admin platform-admin service
self:read             x     x      x         x          x           x             x          x
trust:read            x     x      x         x          x           x             x          x
models:read           x     .      x         x          x           x             .          x
models:write          .     .      x         .          x           x             .          .
models:infer          .     x      .         .          .           x             .          .
stages:move           .     .      x         .          x           x             .          .
stages:override       .     .      .         .          .           x             .          .
stages:promote        .     .      .         .          x           x             .          .
versions:approve      .     .      .         x          .           x             .          .
aliases:move          .     .      x         .          x           x             .          .
gates:manage          .     .      .         .          x           x             .          .
versions:revoke       .     .      .         .          x           x             .          .
versions:delete       .     .      .         .          x           x             .          .
jobs:read             x     .      x         x          x           x             .          x
jobs:create           .     .      x         .          x           x             .          .
deployments:read      x     .      x         x          x           x             .          x
deployments:manage    .     .      .         .          x           x             .          .
audit:read            .     .      .         x          x           x             .          .
webhooks:manage       .     .      .         .          x           x             .          .
requests:read         .     .      .         .          x           x             .          .
requests:write        .     .      .         .          .           .             .          x
keys:manage           .     .      .         .          .           x             x          .
tenant:manage         .     .      .         .          .           x             .          .
tenants:manage        .     .      .         .          .           .             x          .
tenants:serve         .     .      .         .          .           .             .          x
"""
"""Rows are actions, columns are roles; x: the role may do it in its own tenant."""


def holder(*roles: Role) -> Principal:
    return Principal(tenant="acme", key_id="k", name="ci", roles=frozenset(roles))


def test_the_table_of_roles_and_actions() -> None:
    """Who may do what in the own tenant; administering the platform opens nothing inside a tenant."""
    head, *rows = (line.split() for line in TABLE.strip().splitlines())
    expected = {(row[0], role): cell == "x" for row in rows for role, cell in zip(head, row[1:], strict=True)}
    own = Resource(tenant="acme")
    assert expected == {
        (action.value, role.value): ResourcePolicy.can(holder(role), action, own) for action in Action for role in Role
    }


def test_in_another_tenant_only_the_platform_may_do_two_things() -> None:
    """It makes tenants and their keys; nobody may do anything else outside the own tenant."""
    other = Resource(tenant="globex")
    able = {(role, action) for role in Role for action in Action if ResourcePolicy.can(holder(role), action, other)}
    assert able == {(Role.PLATFORM_ADMIN, Action.TENANTS_MANAGE), (Role.PLATFORM_ADMIN, Action.KEYS_MANAGE)}


def test_roles_add_up() -> None:
    """Somebody with two roles may do what either may, and nothing else; without roles nothing."""
    both, own = holder(Role.USER, Role.APPROVER), Resource(tenant="acme")
    able = {action for action in Action if ResourcePolicy.can(both, action, own)}
    assert able == GRANTS[Role.USER] | GRANTS[Role.APPROVER]
    assert not any(ResourcePolicy.can(holder(), action, own) for action in Action)


def test_a_refusal_names_the_roles_that_would_do() -> None:
    """AUTH_003 with the action and, sorted, who may."""
    check(holder(Role.MODEL_ADMIN), Action.STAGES_PROMOTE)
    with pytest.raises(AuthError) as caught:
        check(holder(Role.DEVELOPER), Action.STAGES_PROMOTE)
    assert caught.value.code is ErrorCode.AUTH_FORBIDDEN
    assert caught.value.details == {"action": "stages:promote", "roles": ["model-admin", "tenant-admin"]}


def test_a_container_gives_what_was_added_once() -> None:
    """Adding a kind twice and asking for one never added are mistakes of ours, told at once."""
    services = Services()
    services.add(str, "x")
    assert services.get(str) == "x"
    with pytest.raises(ValueError, match="registered already"):
        services.add(str, "y")
    with pytest.raises(LookupError, match=r"bootstrap/platform\.py"):
        services.get(int)
