# SPDX-License-Identifier: Apache-2.0
"""The registry as the inference service sees it, through the product's own SDK.

Who a caller is, the registry is asked with the caller's credential. Models are fetched with this service's own key, whose
role ``service`` lets it read in the tenant it names and do nothing else: a caller's key needs no right to download models.
The SDK's errors become the domain's.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx

import furoshiki
from artifacts.signing.policy import TrustPolicy
from core.errors import AuthError, ErrorCode, FuroshikiError, ModelError, Unavailable
from core.telemetry.logs import get_logger
from furoshiki import errors as sdk
from services.edge.auth import Identified
from services.edge.auth.tenants import TenantRecord
from services.edge.context import Principal, TenantLimits
from services.edge.features import effective

log = get_logger(__name__)

MOST_LISTED: Final = 500  # models of a tenant, or versions of a model, in one listing
_ACTING_FOR: Final = "X-Furoshiki-Tenant"
_INFER: Final = "models:infer"  # the action a credential must allow
_MOST_CLIENTS: Final = 1000
_RETRY_S: Final = 1.0
_RETRY: Final = furoshiki.Retry(attempts=2, deadline=2.0)  # a request waits; it is told to come back rather

T = TypeVar("T")


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
        api_key: This service's own key, of the role ``service``; None if it only checks credentials.
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
        if _INFER not in identity.actions:
            raise AuthError(
                ErrorCode.AUTH_FORBIDDEN, "The credential does not allow to infer; ask for the role 'user'."
            )
        record = _record(identity)
        principal = Principal(
            tenant=identity.tenant, key_id=identity.key_id, limits=record.limits, features=record.features
        )
        return Identified(principal=principal, expires_at=identity.expires_at)

    async def tenant(self, name: str) -> TenantRecord:
        """What a tenant may use, asked for with this service's own key.

        Raises:
            AuthError: ``AUTH_002`` if there is no such tenant.
            Unavailable: ``STORE_001`` if the registry does not answer in time or refuses this service's own key.
        """
        try:
            with _translated():
                async with asyncio.timeout(self._patience_s):
                    return _record(await self._acting_for(name).whoami())
        except ModelError:
            raise AuthError(ErrorCode.AUTH_INVALID, "The credential is for a tenant that does not exist.") from None
        except AuthError as error:
            raise _unavailable(cause=f"the service's own key: {error}") from None

    async def resolve(self, tenant: str, model: str, version: int | str | None) -> furoshiki.Version:
        """What a name and version mean now: the given number or alias, else the one in production, else the newest.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such model or version.
            Unavailable: ``STORE_001`` if the registry does not answer in time or refuses this service's own key.
        """
        with _translated():
            async with asyncio.timeout(self._patience_s):
                return await self._acting_for(tenant).versions.resolve(model, version)

    async def models(self, tenant: str) -> list[furoshiki.Model]:
        """The models of a tenant by name, at most ``MOST_LISTED``.

        Raises:
            Unavailable: ``STORE_001`` as :meth:`resolve`.
        """
        return await self._listed(self._acting_for(tenant).models.list())

    async def versions(self, tenant: str, model: str) -> list[int]:
        """The numbers of a model's versions, the newest first, at most ``MOST_LISTED``.

        Raises:
            ModelError, Unavailable: As :meth:`resolve`.
        """
        return [found.version for found in await self._listed(self._acting_for(tenant).versions.list(model))]

    async def _listed(self, items: AsyncIterator[T]) -> list[T]:
        found: list[T] = []
        with _translated():
            async with asyncio.timeout(self._patience_s):
                async for item in items:
                    found.append(item)
                    if len(found) == MOST_LISTED:
                        break
        return found

    async def download(self, tenant: str, model: str, version: int, folder: Path) -> None:
        """Downloads a version's bundle into a folder. What arrives is not trusted: it has yet to be verified.

        Raises:
            ModelError, Unavailable: As :meth:`resolve`.
        """
        with _translated():
            await self._acting_for(tenant).versions.download(model, version, folder)

    async def tuning(self, tenant: str, model: str, version: int, *, device: str) -> bytes | None:
        """A version's ``tuning.json`` for devices of a fingerprint; it has yet to be verified.

        Returns:
            None if there is none, and while the registry cannot tell: a model is served without this advice as well.
        """
        try:
            with _translated():
                async with asyncio.timeout(self._patience_s):
                    return await self._acting_for(tenant).tunings.document(model, version, device=device)
        except ModelError:
            return None
        except FuroshikiError as error:
            log.warning("tuning_ignored", model=f"{tenant}/{model}@{version}", reason=error.message, code=error.code)
            return None

    async def trust(self, tenant: str) -> TrustPolicy:
        """The tenant's trust policy as the registry has it; raises as :meth:`resolve`."""
        with _translated():
            async with asyncio.timeout(self._patience_s):
                return TrustPolicy.from_bytes((await self._acting_for(tenant).trust()).to_bytes())

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


def _record(identity: furoshiki.Identity) -> TenantRecord:
    limits = identity.limits
    return TenantRecord(
        limits=_limits(**asdict(limits)),
        features=effective(identity.features),
    )


@lru_cache(maxsize=1024)
def _limits(**limits: Any) -> TenantLimits:
    """Equal limits are one object, so that the gate sees by identity that nothing has changed."""
    return TenantLimits(**limits)


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
