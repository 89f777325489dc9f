# SPDX-License-Identifier: Apache-2.0
"""What is sent as ``Authorization``: nothing, HTTP Basic, or a bearer token of the server that the registry names.

Follows https://distribution.github.io/distribution/spec/auth/token/. Nothing is sent until the registry asks. A token is kept
for its scope until shortly before it expires, and got once however many requests wait for it. The token server is asked over
TLS, unless the registry itself may be asked without. Credentials go to the registry and to that server, and nowhere else.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import httpx
import msgspec

from artifacts.oci.access import Access, Credentials, is_loopback
from artifacts.oci.answers import Answer, refusal, unreachable
from artifacts.oci.challenges import Challenge
from core.clock import Clock
from core.errors import ErrorCode, ImageRegistryError

_MOST_BYTES: Final = 256 * 1024
_LIFETIME_S: Final = 60  # of a token that does not say
_MARGIN_S: Final = 10.0
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]+")


class _TokenJson(msgspec.Struct, frozen=True):
    token: str | None = None
    access_token: str | None = None
    expires_in: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    header: str
    until: float  # monotonic seconds


class Tokens:
    """What one client may send to one registry.

    Args:
        host: Of the registry, for messages.
        access: Credentials, and whether plain HTTP is allowed.
        client: Sends to the token server.
        clock: For the lifetimes of tokens.
    """

    def __init__(self, host: str, access: Access, client: Callable[[], httpx.AsyncClient], clock: Clock) -> None:
        self._host = host
        self._access = access
        self._client = client
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._basic = False

    def header(self, scope: str) -> str | None:
        """What to send with a request for ``scope``; None before the registry asked."""
        if self._basic and self._access.credentials is not None:
            return _basic(self._access.credentials)
        kept = self._kept.get(scope)
        return kept.header if kept is not None and kept.until > self._clock.monotonic() else None

    async def answer(self, challenges: Sequence[Challenge], scope: str, *, rejected: str | None) -> str:
        """What to send instead of ``rejected``, which the registry answered with ``challenges``.

        Raises:
            ImageRegistryError: ``OCI_002`` if nothing else can be sent, or the token server does not accept the credentials.
            Unavailable: ``OCI_001`` if the token server cannot be reached.
        """
        by_scheme = {challenge.scheme: challenge for challenge in reversed(challenges)}
        if (bearer := by_scheme.get("bearer")) is not None:
            async with self._locks[scope]:
                known = self.header(scope)
                return known if known not in (None, rejected) else await self._fetched(bearer, scope)
        credentials = self._access.credentials
        if "basic" in by_scheme and credentials is not None and rejected != _basic(credentials):
            self._basic = True
            return _basic(credentials)
        raise self._denied(
            "does not accept the credentials" if credentials else "asks for credentials, and none are set"
        )

    async def _fetched(self, challenge: Challenge, scope: str) -> str:
        realm, wanted = self._realm(challenge), merged_scopes(scope, challenge.parameters.get("scope", ""))
        parameters = [("scope", each) for each in wanted]
        if "service" in challenge.parameters:
            parameters.insert(0, ("service", challenge.parameters["service"]))
        credentials = self._access.credentials
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        headers |= {} if credentials is None else {"authorization": _basic(credentials)}
        answer = await self._get(realm.copy_merge_params(httpx.QueryParams(tuple(parameters))), headers)
        if answer.status != 200:
            raise refusal(answer, host=self._host, what=f"a token for {wanted[:120]!a} from {realm.host}")
        token, lifetime = self._read(answer.body)
        self._kept[scope] = _Kept(
            header=f"Bearer {token}", until=self._clock.monotonic() + max(lifetime - _MARGIN_S, lifetime / 2)
        )
        return self._kept[scope].header

    def _realm(self, challenge: Challenge) -> httpx.URL:
        try:
            realm = httpx.URL(challenge.parameters.get("realm", ""))
        except httpx.InvalidURL:
            realm = httpx.URL("")
        plain = realm.scheme == "http" and (self._access.plain_http or (is_loopback(realm.host) and self._is_here()))
        if not realm.host or realm.userinfo or not (realm.scheme == "https" or plain):
            raise self._denied("names a token server that is not reached over TLS")
        return realm

    def _is_here(self) -> bool:
        return is_loopback(httpx.URL(f"//{self._host}").host)

    async def _get(self, url: httpx.URL, headers: dict[str, str]) -> Answer:
        body = bytearray()
        try:
            async with (
                asyncio.timeout(self._access.answer_s),
                self._client().stream("GET", url, headers=headers) as response,
            ):
                async for piece in response.aiter_raw():
                    body += piece
                    if len(body) > _MOST_BYTES:
                        raise self._denied("names a token server whose answer is too long")
                return Answer(status=response.status_code, headers=response.headers, body=bytes(body))
        except (httpx.TransportError, TimeoutError) as error:
            raise unreachable(error, host=self._host, what=f"a token from {url.host}") from None

    def _read(self, body: bytes) -> tuple[str, float]:
        try:
            read = msgspec.json.decode(body, type=_TokenJson)
        except msgspec.DecodeError:
            read = _TokenJson()
        token = read.token or read.access_token or ""
        if _TOKEN.fullmatch(token) is None:
            raise self._denied("names a token server that gives no token")
        return token, float(max(1, min(read.expires_in or _LIFETIME_S, 86_400)))

    def _denied(self, fault: str) -> ImageRegistryError:
        return ImageRegistryError(
            ErrorCode.OCI_DENIED, f"Image registry {self._host} {fault}.", details={"registry": self._host}
        )


def merged_scopes(*scopes: str) -> tuple[str, ...]:
    """The scopes of several lists that are separated by spaces, each resource once with the actions of all."""
    actions: dict[str, set[str]] = {}
    for scope in " ".join(scopes).split():
        resource, _, wanted = scope.rpartition(":")
        actions.setdefault(resource, set()).update(wanted.split(","))
    return tuple(f"{resource}:{','.join(sorted(wanted))}" for resource, wanted in actions.items())


def _basic(credentials: Credentials) -> str:
    pair = f"{credentials.username}:{credentials.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"
