# SPDX-License-Identifier: Apache-2.0
"""Who may do what to whose keys. Pure."""

from __future__ import annotations

from typing import Final

from core.errors import AuthError, ErrorCode
from registry_api.http.auth import Principal, Scope

_OF_THE_PLATFORM: Final = frozenset({Scope.PLATFORM_ADMIN, Scope.SERVE})


def key_tenant(principal: Principal, asked: str | None) -> str:
    """The tenant whose keys the caller works on: its own, or any when it administers the platform.

    Raises:
        AuthError: ``AUTH_003`` if the caller may not.
    """
    if principal.allows(Scope.PLATFORM_ADMIN):
        return asked or principal.tenant
    if not principal.allows(Scope.ADMIN) or asked not in (None, principal.tenant):
        raise AuthError(
            ErrorCode.AUTH_FORBIDDEN,
            "Keys are managed with scope 'admin' inside the own tenant, or with 'platform-admin' for any tenant.",
            details={"required": [Scope.ADMIN, Scope.PLATFORM_ADMIN]},
        )
    return principal.tenant


def check_grant(principal: Principal, scopes: frozenset[Scope]) -> None:
    """Checks that nobody gives away the platform who does not have it.

    Raises:
        AuthError: ``AUTH_003`` if the caller may not grant one of the scopes.
    """
    if scopes & _OF_THE_PLATFORM and not principal.allows(Scope.PLATFORM_ADMIN):
        raise AuthError(
            ErrorCode.AUTH_FORBIDDEN,
            "Only a key with scope 'platform-admin' can make one with scope 'platform-admin' or 'serve'.",
            details={"required": [Scope.PLATFORM_ADMIN]},
        )
