# SPDX-License-Identifier: Apache-2.0
"""The registry as the inference service sees it, through the product's own SDK.

Who a caller is, the registry is asked with the caller's credential. Models are fetched with this service's own key, whose
scope ``serve`` lets it read in the tenant it names and do nothing else: a caller's key needs no right to download models.
The SDK's errors become the domain's.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

import furoshiki
from core.errors import AuthError, ErrorCode, FuroshikiError, ModelError, Unavailable
from furoshiki import errors as sdk
from services.edge.auth import SCOPES, Identified
from services.edge.context import Principal

_ACTING_FOR: Final = "X-Furoshiki-Tenant"
_MOST_CLIENTS: Final = 1000
_RETRY_S: Final = 1.0
_RETRY: Final = furoshiki.Retry(attempts=2, deadline=2.0)  # a request waits; it is told to come back rather


class _ActingFor(httpx.AsyncBaseTransport):
    """Names the tenant this service acts for on every request; shares the connections."""

    def __init__(self, tenant: str, connections: httpx.AsyncBaseTransport) -> None:
        self._tenant = tenant
        self._connections = connections

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.headers[_ACTING_FOR] = self._tenant
        return await self._connections.handle_async_request(request)


class RegistryGateway:
    """Asks the registry.

    Args:
        url: Its root.
        api_key: This service's own key, of scope ``serve``; None if it only checks credentials.
        timeout_s: Seconds of silence inside a download after which the registry counts as out of reach.
        patience_s: Seconds within which it must answer anything else.
    """

    def __init__(self, url: str, *, api_key: str | None, timeout_s: float, patience_s: float) -> None:
        self._url = url
        self._api_key = api_key or ""
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._connections = httpx.AsyncHTTPTransport()
        self._callers: OrderedDict[str, furoshiki.AsyncClient] = OrderedDict()
        self._tenants: OrderedDict[str, furoshiki.AsyncClient] = OrderedDict()

    async def whoami(self, credential: str) -> Identified:
        """Whom a credential belongs to, and until when.

        Raises:
            AuthError: ``AUTH_002`` if to nobody, ``AUTH_003`` if it may not infer.
            Unavailable: ``STORE_001`` if the registry does not answer in time.
        """
        with _translated():
            client = _kept(self._callers, credential, lambda: self._client(credential, self._connections))
            async with asyncio.timeout(self._patience_s):
                identity = await client.whoami()
        if SCOPES.isdisjoint(identity.scopes):
            raise AuthError(ErrorCode.AUTH_FORBIDDEN, "The credential has no scope 'infer'.")
        principal = Principal(tenant=identity.tenant, key_id=identity.key_id)
        return Identified(principal=principal, expires_at=identity.expires_at)

    async def resolve(self, tenant: str, model: str, version: int | None) -> furoshiki.Version:
        """What a name and version mean now: the given version, else the one in production, else the newest.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such model or version.
            Unavailable: ``STORE_001`` if the registry does not answer in time or refuses this service's own key.
        """
        with _translated():
            async with asyncio.timeout(self._patience_s):
                return await self._acting_for(tenant).versions.resolve(model, version)

    async def download(self, tenant: str, model: str, version: int, folder: Path) -> None:
        """Downloads a version's bundle into a folder. What arrives is not trusted: it has yet to be verified.

        Raises:
            ModelError, Unavailable: As :meth:`resolve`.
        """
        with _translated():
            await self._acting_for(tenant).versions.download(model, version, folder)

    async def close(self) -> None:
        """Closes the connections."""
        await self._connections.aclose()

    def _acting_for(self, tenant: str) -> furoshiki.AsyncClient:
        def make() -> furoshiki.AsyncClient:
            return self._client(self._api_key, _ActingFor(tenant, self._connections))

        return _kept(self._tenants, tenant, make)

    def _client(self, api_key: str, transport: httpx.AsyncBaseTransport) -> furoshiki.AsyncClient:
        return furoshiki.AsyncClient(
            self._url, api_key=api_key, timeout=self._timeout_s, transport=transport, retry=_RETRY
        )


def _kept(
    clients: OrderedDict[str, furoshiki.AsyncClient], key: str, make: Callable[[], furoshiki.AsyncClient]
) -> furoshiki.AsyncClient:
    """The client of ``key``, made if there is none; the least recently used are dropped."""
    client = clients.get(key)
    if client is None:
        client = clients[key] = make()
        if len(clients) > _MOST_CLIENTS:
            clients.popitem(last=False)
    clients.move_to_end(key)
    return client


@contextmanager
def _translated() -> Iterator[None]:
    """The SDK's errors, and our patience at its end, as the domain's."""
    try:
        yield
    except sdk.FuroshikiError as error:
        raise _domain_error(error) from None
    except TimeoutError:
        raise _unavailable(cause="no answer in time") from None


def _domain_error(error: sdk.FuroshikiError) -> FuroshikiError:
    if isinstance(error, sdk.AuthError):
        known = error.code in (ErrorCode.AUTH_REQUIRED, ErrorCode.AUTH_FORBIDDEN)
        return AuthError(ErrorCode(error.code) if known else ErrorCode.AUTH_INVALID, "The credential is not valid.")
    if isinstance(error, sdk.NotFound):
        return ModelError(ErrorCode.MODEL_NOT_FOUND, "The registry knows no such model.")
    return _unavailable(cause=str(error), registry_request_id=error.request_id)


def _unavailable(**log_context: object) -> Unavailable:
    return Unavailable(
        ErrorCode.STORE_UNAVAILABLE,
        "The registry cannot answer now.",
        log_context=log_context,
        retry_after=_RETRY_S,
    )
