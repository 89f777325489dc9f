# SPDX-License-Identifier: Apache-2.0
"""Short-lived tokens of the registry, and how people log in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from furoshiki.api import get_request, json_request
from furoshiki.resource import D, Resource, operation
from furoshiki.steps import Steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token just made; ``token`` is shown this once and kept out of ``repr``. It is used as an API key is."""

    token: str = field(repr=False)
    roles: tuple[str, ...]
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginProvider:
    """An OpenID provider that people log in with."""

    name: str
    issuer: str
    client_id: str
    scopes: str  # with spaces in between


class _Logins(msgspec.Struct):
    providers: list[LoginProvider]


class Tokens(Resource[D]):
    """``client.tokens``; needs no role."""

    @operation
    def create(self, *, roles: Sequence[str] | None = None, lifetime: int | None = None) -> Steps[Token]:
        """Exchanges the client's credential for a short-lived token that allows the same or less.

        Args:
            roles: Of the caller's; None: all.
            lifetime: Seconds; None, or more than the registry allows: as long as it allows. It never outlives the credential.
        """
        fields = {"roles": None if roles is None else list(roles), "lifetime_seconds": lifetime}
        return (yield from self._api.fetch(json_request("POST", "/tokens", fields), Token))

    @operation
    def login_providers(self) -> Steps[list[LoginProvider]]:
        """The OpenID providers that the registry lets people log in with; needs no credential."""
        return (yield from self._api.fetch(get_request("/login"), _Logins)).providers
