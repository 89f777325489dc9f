# SPDX-License-Identifier: Apache-2.0
"""Who calls, and what the caller may do.

A credential travels as ``X-API-Key`` or ``Authorization: Bearer``. This module knows neither tables nor keys: an
:class:`Authenticator` given by the composition root turns the credential into a :class:`Principal`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Protocol, TypeAlias

from fastapi import Depends, Header, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from core.errors import AuthError, ErrorCode
from core.refs import parse_name
from registry_api.http.access import GRANTS, Action, Resource, ResourcePolicy, Role
from registry_api.http.services import services_of


class Via(StrEnum):
    """How a caller proved who it is; a token made for it says so, too."""

    KEY = "key"  # an API key
    LOGIN = "login"  # a token of an OpenID provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """An authenticated caller."""

    tenant: str
    key_id: str  # of the API key; of somebody logged in: 'u' and 15 hexadecimal digits, always the same
    name: str
    roles: frozenset[Role]
    expires_at: datetime | None = None  # None: the credential does not expire
    via: Via = Via.KEY


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
_bearer: Final = HTTPBearer(
    scheme_name="Bearer",
    auto_error=False,
    description="An API key, a token of `POST /tokens`, or one of an OpenID provider that the registry was told of.",
)


async def current_principal(
    request: Request,
    api_key: Annotated[str | None, Security(_api_key)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    acting_for: Annotated[str | None, Header(alias=ACTING_FOR, include_in_schema=False)] = None,
) -> Principal:
    """The caller of this request; a dependency for routes that need a credential.

    A caller with the role ``service`` may name another tenant in ``X-Furoshiki-Tenant`` and is then a service there.

    Raises:
        AuthError: ``AUTH_001`` without a credential, ``AUTH_002`` with a bad one, ``AUTH_003`` if it may not act for others.
        InvalidRequest: ``VALID_002`` if it names no tenant there can be.
    """
    credential = api_key or (bearer.credentials if bearer is not None else None)
    if not credential:
        raise AuthError(
            ErrorCode.AUTH_REQUIRED,
            "This route needs an API key or a token. Send 'X-API-Key: furo_...' or 'Authorization: Bearer ...'.",
        )
    authenticator: Authenticator = services_of(request).get(Authenticator)  # type: ignore[type-abstract]
    principal = await authenticator.authenticate(credential)
    return principal if acting_for is None else _acting(principal, acting_for)


def _acting(principal: Principal, tenant: str) -> Principal:
    check(principal, Action.TENANTS_SERVE)
    named = parse_name(tenant, what="tenant")  # "*" would stand for all of them
    return replace(principal, tenant=named, roles=frozenset({Role.SERVICE}))


def check(principal: Principal, action: Action, *, tenant: str | None = None) -> None:
    """Checks that the caller may do that in a tenant; None: its own.

    Raises:
        AuthError: ``AUTH_003`` if it may not.
    """
    if not ResourcePolicy.can(principal, action, Resource(tenant=tenant or principal.tenant)):
        able = sorted(role for role in Role if action in GRANTS[role])
        raise AuthError(
            ErrorCode.AUTH_FORBIDDEN,
            f"{principal.name!r} may not {action}. One of these roles may: {', '.join(able)}.",
            details={"action": action, "roles": able},
        )


class Guard:
    """Lets callers through who may do ``action``; the dependency of a route, see :func:`allowed`."""

    def __init__(self, action: Action) -> None:
        self.action: Final = action

    async def __call__(self, principal: Annotated[Principal, Depends(current_principal)]) -> Principal:
        check(principal, self.action)
        return principal


def allowed(action: Action) -> Any:
    """The declaration of a route's action: ``Annotated[Principal, allowed(Action.MODELS_READ)]``. Every route has one."""
    return Depends(Guard(action))


class Public:
    """Marks a route that needs no credential, because it shows nothing of any tenant; see :func:`public`."""

    async def __call__(self) -> None:
        return None


def public() -> Any:
    """The declaration of a route that anybody may call, in place of an action: ``dependencies=[public()]``."""
    return Depends(Public())


Caller: TypeAlias = Annotated[Principal, allowed(Action.SELF_READ)]
ModelReader: TypeAlias = Annotated[Principal, allowed(Action.MODELS_READ)]
ModelWriter: TypeAlias = Annotated[Principal, allowed(Action.MODELS_WRITE)]
JobReader: TypeAlias = Annotated[Principal, allowed(Action.JOBS_READ)]
JobCreator: TypeAlias = Annotated[Principal, allowed(Action.JOBS_CREATE)]
