# SPDX-License-Identifier: Apache-2.0
"""The registry as the inference service sees it, through the product's own SDK.

Every question carries the caller's credential, never one of this service's own, so this service can hand out nothing the
caller may not have. The SDK's errors become the domain's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

import furoshiki
from core.errors import AuthError, ErrorCode, FuroshikiError, ModelError, Unavailable
from furoshiki import errors as sdk
from services.edge.auth import SCOPES
from services.edge.context import Principal

_MOST_CLIENTS: Final = 1000
_RETRY_S: Final = 1.0


class RegistryGateway:
    """Asks the registry.

    Args:
        url: Its root.
        timeout_s: Seconds of silence after which it counts as out of reach.
    """

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._connections = httpx.AsyncHTTPTransport()
        self._clients: OrderedDict[str, furoshiki.AsyncClient] = OrderedDict()

    async def whoami(self, credential: str) -> Principal:
        """Whom a credential belongs to.

        Raises:
            AuthError: ``AUTH_002`` if to nobody, ``AUTH_003`` if it may not infer.
            Unavailable: ``STORE_001`` if the registry cannot be reached.
        """
        with _translated():
            identity = await self._client(credential).whoami()
        if SCOPES.isdisjoint(identity.scopes):
            raise AuthError(ErrorCode.AUTH_FORBIDDEN, "The credential has no scope 'infer'.")
        return Principal(tenant=identity.tenant, key_id=identity.key_id, credential=credential)

    async def resolve(self, principal: Principal, model: str, version: int | None) -> furoshiki.Version:
        """What a name and version mean now: the given version, else the one in production, else the newest.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such model or version.
            AuthError: ``AUTH_*`` if the credential may not ask.
            Unavailable: ``STORE_001`` if the registry cannot be reached.
        """
        with _translated():
            return await self._client(principal.credential).versions.resolve(model, version)

    async def download(self, principal: Principal, model: str, version: int, folder: Path) -> None:
        """Downloads a version's bundle into a folder. What arrives is not trusted: it has yet to be verified.

        Raises:
            ModelError, AuthError, Unavailable: As :meth:`resolve`.
        """
        with _translated():
            await self._client(principal.credential).versions.download(model, version, folder)

    async def close(self) -> None:
        """Closes the connections."""
        await self._connections.aclose()

    def _client(self, credential: str | None) -> furoshiki.AsyncClient:
        key = credential or ""
        client = self._clients.get(key)
        if client is None:
            client = furoshiki.AsyncClient(self._url, api_key=key, timeout=self._timeout_s, transport=self._connections)
            self._clients[key] = client
            if len(self._clients) > _MOST_CLIENTS:
                self._clients.popitem(last=False)
        self._clients.move_to_end(key)
        return client


@contextmanager
def _translated() -> Iterator[None]:
    """The SDK's errors as the domain's."""
    try:
        yield
    except sdk.FuroshikiError as error:
        raise _domain_error(error) from None


def _domain_error(error: sdk.FuroshikiError) -> FuroshikiError:
    if isinstance(error, sdk.AuthError):
        known = error.code in (ErrorCode.AUTH_REQUIRED, ErrorCode.AUTH_FORBIDDEN)
        return AuthError(ErrorCode(error.code) if known else ErrorCode.AUTH_INVALID, "The credential is not valid.")
    if isinstance(error, sdk.NotFound):
        return ModelError(ErrorCode.MODEL_NOT_FOUND, "The registry knows no such model.")
    return Unavailable(
        ErrorCode.STORE_UNAVAILABLE,
        "The registry cannot answer now.",
        log_context={"cause": str(error), "registry_request_id": error.request_id},
        retry_after=_RETRY_S,
    )
