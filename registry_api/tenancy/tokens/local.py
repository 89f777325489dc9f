# SPDX-License-Identifier: Apache-2.0
"""The registry's own tokens: short-lived, signed with EdDSA, made for whoever shows a key or a token of a provider.

A token never outlives the credential it was made with, and never allows more. One that was made with a key stops with it,
and with the secret it had: when a rotation ends that.
Anybody who has the registry's key set can check a token; ``scope`` says ``infer`` for inference services that do.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from artifacts.tokens.keeping import FileMintingKeys
from artifacts.tokens.verifier import TokenIssuer, refuse, text_of, texts_of
from core.clock import Clock
from core.errors import AuthError, ErrorCode
from core.telemetry.logs import get_logger
from registry_api.http.access import Action, Role, actions_of
from registry_api.http.auth import Principal, Via
from registry_api.tenancy.authenticator import KeyAuthenticator

LEEWAY_S: Final = 5.0  # by which the clocks of the registry's processes may differ
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """A new token, shown this once."""

    token: str = field(repr=False)
    expires_at: datetime
    roles: frozenset[Role]


class TokenService:
    """Makes tokens.

    Args:
        keys: That sign them.
        clock: For when they end.
        issuer: What they say in ``iss``.
        audience: What they say in ``aud``.
        lifetime: The longest life of one.
    """

    def __init__(self, keys: FileMintingKeys, clock: Clock, *, issuer: str, audience: str, lifetime: timedelta) -> None:
        self._keys = keys
        self._clock = clock
        self._issuer = issuer
        self._audience = audience
        self._lifetime = lifetime

    async def issue(
        self, principal: Principal, *, roles: frozenset[Role] | None = None, lifetime: timedelta | None = None
    ) -> IssuedToken:
        """Makes a token for the caller.

        Args:
            principal: Who asks.
            roles: What it is to allow; None: all that the caller may.
            lifetime: How long it is to work; None, or more than the longest life: the longest.

        Raises:
            AuthError: ``AUTH_003`` if the caller has not all of these roles, ``AUTH_002`` if its credential just ended.
        """
        granted = principal.roles if roles is None else roles
        if lacking := sorted(granted - principal.roles):
            raise AuthError(
                ErrorCode.AUTH_FORBIDDEN,
                f"{principal.name!r} has not the roles {', '.join(lacking)}; a token allows no more than who asks for it.",
                details={"roles": lacking},
            )
        now = self._clock.now()
        ends = now + min(lifetime or self._lifetime, self._lifetime)
        if principal.expires_at is not None:
            ends = min(ends, principal.expires_at)
        if ends <= now:
            raise AuthError(ErrorCode.AUTH_INVALID, "The credential has expired; get a new one.")
        key = await self._keys.signing()
        token = key.token(self._claims(principal, granted, now, ends))
        _log.info("token_issued", tenant=principal.tenant, key_id=principal.key_id, via=principal.via)
        return IssuedToken(token=token, expires_at=ends, roles=granted)

    def _claims(self, principal: Principal, roles: frozenset[Role], now: datetime, ends: datetime) -> dict[str, Any]:
        return {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": f"{principal.via}:{principal.key_id}",
            "tenant": principal.tenant,
            "roles": sorted(roles),
            "scope": "infer" if Action.MODELS_INFER in actions_of(roles) else "",
            "key": principal.key_id,
            "name": principal.name,
            "via": principal.via,
            "iat": now.timestamp(),
            "exp": ends.timestamp(),
            "jti": secrets.token_urlsafe(12),
        }

    async def key_set(self) -> bytes:
        """The public halves of the keys whose tokens are believed, as a JSON Web Key Set.

        Raises:
            Unavailable: ``STORE_001`` if the keys cannot be read.
        """
        await self._keys.signing()  # the first one is made here, if nobody has asked for a token yet
        return await self._keys.read()

    async def rotate_key(self, principal: Principal, *, revoke: bool) -> str:
        """Makes a new key that signs from now on.

        Args:
            principal: Who asks.
            revoke: Whether tokens of the old keys stop within seconds, instead of working until they end.

        Returns:
            The new key's id.
        """
        key = await self._keys.rotate(forget_old=revoke)
        _log.info("token_key_rotated", kid=key.kid, revoked=revoke, rotated_by=principal.key_id)
        return key.kid


class LocalReader:
    """Implements :class:`registry_api.tenancy.tokens.authenticator.Reader` for the registry's own tokens."""

    def __init__(self, keys: KeyAuthenticator) -> None:
        self._keys = keys

    async def principal(self, claims: dict[str, Any], issuer: TokenIssuer, *, expires_at: datetime) -> Principal:
        tenant, key_id, name = (text_of(claims, claim) for claim in ("tenant", "key", "name"))
        try:
            roles, via = frozenset(Role(role) for role in texts_of(claims, "roles")), Via(text_of(claims, "via") or "")
        except ValueError:
            refuse("of another version", issuer)
        made_at = claims.get("iat")  # if it is there, the verifier found it to be a time that has come
        if not tenant or not key_id or not name or not isinstance(made_at, int | float) or made_at < 0:
            refuse("of another version", issuer)
        since = datetime.fromtimestamp(made_at, UTC)
        if via is Via.KEY and not await self._keys.in_force(key_id, since=since):
            refuse("its key is not in force", issuer, tell="The key that this token was made with has ended.")
        return Principal(tenant=tenant, key_id=key_id, name=name, roles=roles, expires_at=expires_at, via=via)
