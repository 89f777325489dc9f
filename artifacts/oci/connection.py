# SPDX-License-Identifier: Apache-2.0
"""Requests to one registry: authorization, redirects, retries, and bodies of bounded size.

Rules. ``Authorization`` goes to the registry's own origin (scheme, host, port) and nowhere else, wherever a redirect or an
upload location points. Nothing goes from TLS to plain HTTP. Only reading follows redirects, five at most. Bodies are read
as they come: nothing is unpacked, so a digest is that of the bytes on the wire.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import httpx

from artifacts.oci.access import Access, base_url, is_loopback, origin, tls_context
from artifacts.oci.answers import Answer, refusal, unreachable
from artifacts.oci.challenges import parse_challenges
from artifacts.oci.documents import MAX_DOCUMENT_BYTES
from artifacts.oci.patience import Patience, persist
from artifacts.oci.refusals import too_large
from artifacts.oci.tokens import Tokens
from core.clock import Clock
from core.errors import ErrorCode, ImageRegistryError

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS: Final = 5
_MOST_ERROR_BYTES: Final = 64 * 1024
_AGENT: Final = "furoshiki"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request, which can be sent again."""

    method: str
    url: str  # below the registry's origin ("/v2/…"), or absolute as the registry gave it
    what: str  # for messages: "pull blob sha256:…"
    scope: str = ""  # for the token server: "repository:acme/digits:pull"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[], AsyncIterator[bytes]] | bytes | None = None  # a function makes the body anew for each attempt


class Connection:
    """A client of one registry. Closed by :meth:`close`, which may be called twice.

    Args:
        host: The registry: "registry.example:5000".
        access: TLS, credentials, patience.
        clock: For the lifetimes of tokens, and for how long a moment is.
        transport: Carries requests; None: the network.
    """

    def __init__(
        self, host: str, access: Access, *, clock: Clock, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.host = host
        self.clock = clock
        self._access = access
        self._base = base_url(host, access)
        self._transport = transport
        self._opened: httpx.AsyncClient | None = None
        self.turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)  # of tags that several tasks change
        self._tokens = Tokens(host, access, self._client, clock)

    @property
    def patience(self) -> Patience:
        """How often an operation on this registry is tried."""
        return self._access.patience

    async def close(self) -> None:
        """Ends every connection."""
        client, self._opened = self._opened, None
        if client is not None:
            await client.aclose()

    async def ask(self, ask: Ask, *expected: int, limit: int = MAX_DOCUMENT_BYTES) -> Answer:
        """Sends a request until it is answered, and reads the whole answer.

        Args:
            ask: The request.
            *expected: Statuses that the caller understands.
            limit: Bytes of the body that are read.

        Raises:
            Unavailable: ``OCI_001`` if patience ended.
            ImageRegistryError: ``OCI_002`` or ``OCI_004``.
            NotFound: ``OCI_003`` for a 404 that is not expected.
            InvalidRequest: ``VALID_003`` if the body exceeds ``limit``.
        """

        async def attempt() -> Answer:
            try:
                async with asyncio.timeout(self._access.answer_s):
                    return await self.ask_once(ask, *expected, limit=limit)
            except TimeoutError as error:
                raise unreachable(error, host=self.host, what=ask.what) from None

        return await persist(self.patience, attempt)

    async def ask_once(self, ask: Ask, *expected: int, limit: int = MAX_DOCUMENT_BYTES) -> Answer:
        """As :meth:`ask`, in a single attempt that may take long."""
        async with self.open(ask) as response:
            return await self.whole(ask, response, *expected, limit=limit)

    @asynccontextmanager
    async def open(self, ask: Ask) -> AsyncIterator[httpx.Response]:
        """Sends a request once, with authorization and redirects; the body is still to be read.

        Raises:
            Unavailable: ``OCI_001`` if the registry does not answer, or cuts off while the block reads.
            ImageRegistryError: ``OCI_002`` if it does not accept the credentials, ``OCI_004`` for a redirect that is refused.
        """
        try:
            response = await self._sent(ask)
            try:
                yield response
            finally:
                await response.aclose()
        except httpx.TransportError as error:
            raise unreachable(error, host=self.host, what=ask.what) from error

    async def whole(self, ask: Ask, response: httpx.Response, *expected: int, limit: int) -> Answer:
        """Reads the rest of an answer. Raises as :meth:`ask`."""
        understood = response.status_code in expected
        body = bytearray()
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > (limit if understood else _MOST_ERROR_BYTES):
                if understood:
                    raise too_large(f"The registry's answer to: {ask.what}", len(body), limit)
                break
        answer = Answer(status=response.status_code, headers=response.headers, body=bytes(body))
        if not understood:
            raise refusal(answer, host=self.host, what=ask.what)
        return answer

    def absolute(self, location: str, *, what: str) -> str:
        """Where an upload goes on: the registry's ``Location``, absolute.

        Raises:
            ImageRegistryError: ``OCI_004`` if it is missing, malformed, or plain HTTP where TLS was.
        """
        return str(self._checked(self._base, location, what))

    def _client(self) -> httpx.AsyncClient:
        if self._opened is None:
            access = self._access
            self._opened = httpx.AsyncClient(
                transport=self._transport,
                verify=tls_context(access.ca_file),
                timeout=httpx.Timeout(access.silence_s, connect=access.connect_s),
                follow_redirects=False,
                trust_env=not is_loopback(self._base.host),
                limits=httpx.Limits(max_connections=32, max_keepalive_connections=16),
                headers={"user-agent": _AGENT, "accept-encoding": "identity"},
            )
        return self._opened

    async def _sent(self, ask: Ask) -> httpx.Response:
        url = self._base.join(ask.url)
        for _ in range(_MOST_REDIRECTS + 1):
            response = await self._authorized(ask, url)
            if response.status_code not in _REDIRECTS or ask.method not in {"GET", "HEAD"}:
                return response
            await response.aclose()
            url = self._checked(url, response.headers.get("location", ""), ask.what)
        raise self._refused(f"redirects more than {_MOST_REDIRECTS} times", ask.what)

    async def _authorized(self, ask: Ask, url: httpx.URL) -> httpx.Response:
        if origin(url) != origin(self._base):
            return await self._send(ask, url, None)
        header = self._tokens.header(ask.scope)
        response = await self._send(ask, url, header)
        if response.status_code != 401:
            return response
        await response.aclose()
        challenges = parse_challenges(response.headers.get_list("www-authenticate"))
        return await self._send(ask, url, await self._tokens.answer(challenges, ask.scope, rejected=header))

    async def _send(self, ask: Ask, url: httpx.URL, authorization: str | None) -> httpx.Response:
        headers = dict(ask.headers)
        if authorization is not None:
            headers["authorization"] = authorization
        content = ask.body() if callable(ask.body) else ask.body
        client = self._client()
        return await client.send(client.build_request(ask.method, url, headers=headers, content=content), stream=True)

    def _checked(self, start: httpx.URL, location: str, what: str) -> httpx.URL:
        try:
            url = start.join(location)
        except httpx.InvalidURL:
            url = httpx.URL("")
        if not location or not url.host or url.userinfo or url.scheme not in {"http", "https"}:
            raise self._refused(f"points to {location[:120]!a}", what)
        if start.scheme == "https" and url.scheme != "https":
            raise self._refused(f"points from TLS to plain HTTP at {url.host}", what)
        return url

    def _refused(self, fault: str, what: str) -> ImageRegistryError:
        return ImageRegistryError(
            ErrorCode.OCI_REFUSED,
            f"Image registry {self.host} {fault}, for: {what}. That is not followed.",
            details={"registry": self.host},
        )
