# SPDX-License-Identifier: Apache-2.0
"""One POST to one receiver.

Rules. The connection goes to an address that was checked a moment ago, never to a name; TLS and the Host header carry the
name, so the certificate must be the receiver's. No redirect is followed: a 3xx is a failure. No connection is kept: one
that was made for a name must not serve another. At most so much of an answer is read as the log keeps. An attempt has one
time limit for everything.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import httpx

from core.clock import Clock
from registry_api.webhooks.addresses import (
    Address,
    AddressPolicy,
    Refused,
    Resolver,
    Target,
    check_url,
    system_resolver,
)

_MOST_ADDRESSES: Final = 3  # tried one after the other until one takes the connection
_LONGEST_ERROR: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one attempt."""

    milliseconds: int
    status: int | None  # None: no answer
    error: str | None  # None: the receiver has it
    response: str | None  # the beginning of the answer's body

    @property
    def gone(self) -> bool:
        """Whether the receiver wants nothing more, ever (410)."""
        return self.status == httpx.codes.GONE


class Sender:
    """Sends to checked addresses.

    Args:
        policy: Where to.
        clock: Measures.
        timeout_seconds: For a whole attempt.
        response_bytes: The most that is read of an answer.
        resolve: Finds a name's addresses.
        tls: Whose certificates count; None: those the system trusts.
    """

    def __init__(
        self,
        policy: AddressPolicy,
        clock: Clock,
        *,
        timeout_seconds: float,
        response_bytes: int,
        resolve: Resolver = system_resolver,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._response_bytes = response_bytes
        self._resolve = resolve
        self._tls = ssl.create_default_context() if tls is None else tls

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Sends once. What goes wrong is in the outcome."""
        began = self._clock.monotonic()
        status: int | None = None
        response: str | None = None
        error: str | None = None
        try:
            async with asyncio.timeout(self._timeout_seconds):
                target = await check_url(url, self._policy, self._resolve)
                status, response = await self._post(target, headers, body)
                error = _judged(status)
        except Refused as refused:
            error = str(refused)
        except TimeoutError:
            error = f"no complete answer within {self._timeout_seconds:g} s"
        except (httpx.HTTPError, ssl.SSLError, OSError) as failed:
            error = f"{type(failed).__name__}: {failed}"[:_LONGEST_ERROR]
        milliseconds = round((self._clock.monotonic() - began) * 1000)
        return Outcome(milliseconds=milliseconds, status=status, error=error, response=response)

    async def _post(self, target: Target, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        addresses = target.addresses[:_MOST_ADDRESSES]
        for address in addresses[:-1]:
            try:
                return await self._post_to(address, target, headers, body)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._post_to(addresses[-1], target, headers, body)

    async def _post_to(
        self, address: Address, target: Target, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, str]:
        url = httpx.URL(target.url)
        pinned = url.copy_with(host=str(address))
        named = {**headers, "host": url.netloc.decode("ascii")}
        async with (
            httpx.AsyncClient(
                verify=self._tls,
                trust_env=False,
                follow_redirects=False,
                timeout=self._timeout_seconds,
                limits=httpx.Limits(max_keepalive_connections=0),
            ) as client,
            client.stream(
                "POST", pinned, headers=named, content=body, extensions={"sni_hostname": target.host}
            ) as answer,
        ):
            return answer.status_code, await self._beginning(answer)

    async def _beginning(self, answer: httpx.Response) -> str:
        """At most ``response_bytes`` of the body as text; compressed bodies are not unpacked."""
        read = bytearray()
        async for chunk in answer.aiter_raw():
            read += chunk
            if len(read) >= self._response_bytes:
                break
        return read[: self._response_bytes].decode(errors="replace").replace("\x00", "\ufffd")


def _judged(status: int) -> str | None:
    if httpx.codes.is_success(status):
        return None
    if httpx.codes.is_redirect(status):
        return f"answered {status}: redirects are not followed"
    return f"answered {status}"
