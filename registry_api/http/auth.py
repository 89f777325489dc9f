# SPDX-License-Identifier: Apache-2.0
"""Who calls, and what the caller may do.

A credential travels as ``X-API-Key`` or ``Authorization: Bearer``. This module knows neither tables nor keys: an
:class:`Authenticator` given by the composition root turns the credential into a :class:`Principal`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Protocol, TypeAlias

from fastapi import Depends, Header, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from core.errors import AuthError, ErrorCode
from registry_api.http.services import services_of


class Scope(StrEnum):
    """What a key allows; the comment on each line is its meaning."""

    PLATFORM_ADMIN = "platform-admin"  # tenants, and the keys of any tenant
    ADMIN = "admin"  # everything inside the own tenant
    PUSH = "push"  # register models and versions, move them between stages short of production
    DEPLOY = "deploy"  # build, deploy, stop, move into and out of production
    INFER = "infer"  # call deployed models
    READ = "read"  # list, get and download
    SERVE = "serve"  # inference services: read, in any tenant they act for


_IMPLIED: Final[dict[Scope, frozenset[Scope]]] = {
    Scope.PLATFORM_ADMIN: frozenset(),
    Scope.ADMIN: frozenset({Scope.PUSH, Scope.DEPLOY, Scope.INFER, Scope.READ}),
    Scope.PUSH: frozenset({Scope.READ}),
    Scope.DEPLOY: frozenset({Scope.READ}),
    Scope.INFER: frozenset(),
    Scope.READ: frozenset(),
    Scope.SERVE: frozenset({Scope.READ}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """An authenticated caller. ``scopes`` are those written on the key; :meth:`allows` adds what they imply."""

    tenant: str
    key_id: str
    name: str
    scopes: frozenset[Scope]
    expires_at: datetime | None = None  # None: the key does not expire

    def allows(self, scope: Scope) -> bool:
        """Whether the key grants ``scope``, directly or through a wider one."""
        return any(scope is held or scope in _IMPLIED[held] for held in self.scopes)


class Authenticator(Protocol):
    """Turns a credential into a principal."""

    async def authenticate(self, credential: str) -> Principal:
        """The caller behind ``credential``.

        Raises:
            AuthError: ``AUTH_002`` if it is unknown, expired or revoked.
        """
        ...


ACTING_FOR: Final = "X-Furoshiki-Tenant"

_api_key: Final = APIKeyHeader(
    name="X-API-Key", scheme_name="ApiKey", auto_error=False, description="`furo_<id>_<secret>`"
)
_bearer: Final = HTTPBearer(scheme_name="Bearer", auto_error=False, description="The same API key as a bearer token.")


async def current_principal(
    request: Request,
    api_key: Annotated[str | None, Security(_api_key)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    acting_for: Annotated[str | None, Header(alias=ACTING_FOR, include_in_schema=False)] = None,
) -> Principal:
    """The caller of this request; a dependency for routes that need a credential but no particular scope.

    A key with scope ``serve`` may name another tenant in ``X-Furoshiki-Tenant``: it then reads there, and nothing else.

    Raises:
        AuthError: ``AUTH_001`` without a credential, ``AUTH_002`` with a bad one, ``AUTH_003`` if it may not act for others.
    """
    credential = api_key or (bearer.credentials if bearer is not None else None)
    if not credential:
        raise AuthError(
            ErrorCode.AUTH_REQUIRED,
            "This route needs an API key. Send it as 'X-API-Key: furo_...' or 'Authorization: Bearer furo_...'.",
        )
    authenticator: Authenticator = services_of(request).get(Authenticator)  # type: ignore[type-abstract]
    principal = await authenticator.authenticate(credential)
    return principal if acting_for is None else _acting(principal, acting_for)


def _acting(principal: Principal, tenant: str) -> Principal:
    check_scope(principal, Scope.SERVE)
    return replace(principal, tenant=tenant, scopes=frozenset({Scope.READ}))


def check_scope(principal: Principal, *any_of: Scope) -> None:
    """Checks that the caller holds at least one of the scopes.

    Raises:
        AuthError: ``AUTH_003`` if it holds none.
    """
    if not any(principal.allows(scope) for scope in any_of):
        wanted = " or ".join(repr(str(scope)) for scope in any_of)
        raise AuthError(
            ErrorCode.AUTH_FORBIDDEN,
            f"Key {principal.name!r} does not have scope {wanted}. Use a key that has it, or ask an admin for one.",
            details={"required": [str(scope) for scope in any_of]},
        )


def require(*any_of: Scope) -> Callable[..., Awaitable[Principal]]:
    """A dependency that lets callers with one of the scopes through: ``Annotated[Principal, Depends(require(...))]``."""

    async def guard(principal: Annotated[Principal, Depends(current_principal)]) -> Principal:
        check_scope(principal, *any_of)
        return principal

    return guard


def _needs(*any_of: Scope) -> Any:
    return Depends(require(*any_of))


Caller: TypeAlias = Annotated[Principal, Depends(current_principal)]
Reader: TypeAlias = Annotated[Principal, _needs(Scope.READ)]
Pusher: TypeAlias = Annotated[Principal, _needs(Scope.PUSH)]
Deployer: TypeAlias = Annotated[Principal, _needs(Scope.DEPLOY)]
Admin: TypeAlias = Annotated[Principal, _needs(Scope.ADMIN)]
PlatformAdmin: TypeAlias = Annotated[Principal, _needs(Scope.PLATFORM_ADMIN)]
