# SPDX-License-Identifier: Apache-2.0
"""Who may do what to whose keys. Pure."""

from __future__ import annotations

from typing import Final

from registry_api.http.access import Action, Role
from registry_api.http.auth import Principal, check

_OF_THE_PLATFORM: Final = frozenset({Role.PLATFORM_ADMIN, Role.SERVICE})


def key_tenant(principal: Principal, asked: str | None) -> str:
    """The tenant whose keys the caller works on: its own, or any when it administers the platform.

    Raises:
        AuthError: ``AUTH_003`` if the caller may not.
    """
    tenant = asked or principal.tenant
    check(principal, Action.KEYS_MANAGE, tenant=tenant)
    return tenant


def check_grant(principal: Principal, roles: frozenset[Role]) -> None:
    """Checks that nobody gives away the platform who does not have it.

    Raises:
        AuthError: ``AUTH_003`` if the caller may not grant one of the roles.
    """
    if roles & _OF_THE_PLATFORM:
        check(principal, Action.TENANTS_MANAGE)
