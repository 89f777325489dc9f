# SPDX-License-Identifier: Apache-2.0
"""Whom a credential belongs to: an API key or a token, told apart by their shape.

A token is first checked (:mod:`artifacts.tokens.verifier`); then its issuer's :class:`Reader` says what its claims mean here.
Its tenant has to exist. What is no credential at all is refused unread.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from artifacts.tokens.verifier import MOST_TOKEN_BYTES, TokenIssuer, TokenVerifier, Verified, looks_like_token, refuse
from core.clock import Clock
from core.errors import AuthError, ErrorCode
from registry_api.db.session import Database
from registry_api.http.auth import Authenticator, Principal
from registry_api.tenancy.repository import TenantRepository

_MOST_TENANTS: Final = 10_000


class Reader(Protocol):
    """Knows what the claims of one issuer's tokens mean."""

    async def principal(self, claims: dict[str, Any], issuer: TokenIssuer, *, expires_at: datetime) -> Principal:
        """The caller that a genuine token in force speaks of.

        Raises:
            AuthError: ``AUTH_002`` if it names nobody here, ``AUTH_003`` if it gives no role.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadIssuer(TokenIssuer):
    """An issuer, and who understands its tokens."""

    reader: Reader


class TokenAuthenticator:
    """Implements :class:`registry_api.http.auth.Authenticator` for tokens.

    Args:
        issuers: Whose tokens are believed.
        db: Where tenants are.
        clock: For when a token is in force.
        cache_seconds: How long a tenant is known to exist.
    """

    def __init__(self, issuers: Sequence[ReadIssuer], db: Database, clock: Clock, *, cache_seconds: float) -> None:
        self._verifier = TokenVerifier(issuers, clock=clock)
        self._db = db
        self._clock = clock
        self._cache_seconds = cache_seconds
        self._tenants: OrderedDict[str, float] = OrderedDict()  # until when each is known to exist, monotonic seconds

    async def authenticate(self, credential: str) -> Principal:
        """The caller behind a token.

        Raises:
            AuthError: ``AUTH_002`` if it is not believed or its tenant does not exist, ``AUTH_003`` if it gives no role.
            Unavailable: ``STORE_001`` if the issuer's keys cannot be had now.
        """
        token: Verified[ReadIssuer] = await self._verifier.verify(credential)
        issuer = token.issuer
        expires_at = token.ends - timedelta(seconds=issuer.leeway_s)  # the leeway is for clocks, not for callers
        principal = await issuer.reader.principal(dict(token.claims), issuer, expires_at=expires_at)
        if not await self._exists(principal.tenant):
            refuse("names a tenant that does not exist", issuer, tell="The token's tenant does not exist.")
        return principal

    async def _exists(self, tenant: str) -> bool:
        now = self._clock.monotonic()
        if self._tenants.get(tenant, 0.0) > now:
            return True
        async with self._db.read(tenant) as session:
            if await TenantRepository(session).get(tenant) is None:
                return False
        self._tenants[tenant] = now + self._cache_seconds
        self._tenants.move_to_end(tenant)
        if len(self._tenants) > _MOST_TENANTS:
            self._tenants.popitem(last=False)
        return True


class KeyOrToken:
    """Implements :class:`registry_api.http.auth.Authenticator` by asking the right one of two."""

    def __init__(self, *, keys: Authenticator, tokens: Authenticator) -> None:
        self._keys = keys
        self._tokens = tokens

    async def authenticate(self, credential: str) -> Principal:
        """The caller behind a key or a token; raises as both do."""
        if len(credential) > MOST_TOKEN_BYTES:
            raise AuthError(ErrorCode.AUTH_INVALID, "The credential is not valid.")
        authenticator = self._tokens if looks_like_token(credential) else self._keys
        return await authenticator.authenticate(credential)
