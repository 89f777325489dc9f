# SPDX-License-Identifier: Apache-2.0
"""The ports of authentication: who answers for a request, and who knows whom a credential belongs to.

A credential travels as ``X-API-Key`` or ``Authorization: Bearer``; the first wins. What cannot be one is refused unread.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from core.errors import AuthError, ErrorCode
from services.edge.context import Principal

SCOPES: Final = frozenset({"infer", "admin", "platform-admin"})  # each of them lets its holder infer
MOST_CREDENTIAL_BYTES: Final = 8192

_LEGAL: Final = re.compile(rb"[A-Za-z0-9._~+/=-]{8,%d}" % MOST_CREDENTIAL_BYTES)


class Authenticator(Protocol):
    """Who is asking."""

    async def authenticate(self, headers: Mapping[bytes, bytes]) -> Principal:
        """The principal of a request.

        Raises:
            AuthError: ``AUTH_001`` without a credential, ``AUTH_002`` with an unknown one, ``AUTH_003`` without the scope.
            Unavailable: ``STORE_001`` if nobody can tell at the moment.
            Overloaded: ``QUEUE_001`` if too many credentials are being looked up.
        """
        ...

    def known(self, headers: Mapping[bytes, bytes]) -> Principal | None:
        """The principal if the answer is remembered and fresh; None: :meth:`authenticate` has to be asked.

        To be called on the event loop. Raises nothing.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """Whom a credential belongs to, and until when it may be used."""

    principal: Principal
    expires_at: datetime | None  # aware; None: does not expire


class Directory(Protocol):
    """Who a credential belongs to; asked only when the answer is not remembered."""

    async def whoami(self, credential: str) -> Identified:
        """Raises as :meth:`Authenticator.authenticate` does."""
        ...


def credential_of(headers: Mapping[bytes, bytes]) -> bytes:
    """What the request shows, whether legal or not; empty if it shows nothing."""
    key = headers.get(b"x-api-key")
    if key is not None:
        return key
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""


def legal(credential: bytes) -> bool:
    """Whether it can be a credential at all: 8 to 8192 characters of those that keys and tokens are made of."""
    return _LEGAL.fullmatch(credential) is not None


def required() -> AuthError:
    """The error for a request without a credential."""
    return AuthError(ErrorCode.AUTH_REQUIRED, "No credential was sent; send 'X-API-Key' or 'Authorization: Bearer …'.")


def invalid() -> AuthError:
    """The error for a credential that opens nothing; why is not told."""
    return AuthError(ErrorCode.AUTH_INVALID, "The credential is not valid.")
