# SPDX-License-Identifier: Apache-2.0
"""The registry as the inference service sees it, through the product's own SDK.

Who a caller is, the registry is asked with the caller's credential. Models are fetched with this service's own key, whose
role ``service`` lets it read in the tenant it names and do nothing else: a caller's key needs no right to download models.
The SDK's errors become the domain's.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final, TypeVar

import httpx

import furoshiki
from artifacts.signing.policy import TrustPolicy
from core.errors import AuthError, ErrorCode, FuroshikiError, ModelError
from core.telemetry.logs import get_logger
from services.dataplane.faults import translated, unavailable
from services.dataplane.forms import AS_UPLOADED, Preference, chosen
from services.dataplane.records import record_of
from services.edge.auth import Identified
from services.edge.auth.tenants import TenantRecord
from services.edge.context import Principal

log = get_logger(__name__)

MOST_LISTED: Final = 500  # models of a tenant, or versions of a model, in one listing
_ACTING_FOR: Final = "X-Furoshiki-Tenant"
_INFER: Final = "models:infer"  # the action a credential must allow
_MOST_CLIENTS: Final = 1000
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
        prefers: Which form of a version is served.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None,
        timeout_s: float,
        patience_s: float,
        prefers: Preference = AS_UPLOADED,
    ) -> None:
        self._url = url
        self._api_key = api_key or ""
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._prefers = prefers
        self._connections = httpx.AsyncHTTPTransport()
        self._callers: OrderedDict[str, furoshiki.AsyncClient] = OrderedDict()
        self._tenants: OrderedDict[str, furoshiki.AsyncClient] = OrderedDict()

    async def whoami(self, credential: str) -> Identified:
        """Whom a credential belongs to, and until when.

        Raises:
            AuthError: ``AUTH_002`` if to nobody, ``AUTH_003`` if it may not infer.
            Unavailable: ``STORE_001`` if the registry does not answer in time.
        """
        with translated():
            client = _kept(self._callers, credential, lambda: self._client(credential, self._connections))
            async with asyncio.timeout(self._patience_s):
                identity = await client.whoami()
        if _INFER not in identity.actions:
            raise AuthError(
                ErrorCode.AUTH_FORBIDDEN, "The credential does not allow to infer; ask for the role 'user'."
            )
        record = record_of(identity)
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
            with translated():
                async with asyncio.timeout(self._patience_s):
                    return record_of(await self._acting_for(name).whoami())
        except ModelError:
            raise AuthError(ErrorCode.AUTH_INVALID, "The credential is for a tenant that does not exist.") from None
        except AuthError as error:
            raise unavailable(cause=f"the service's own key: {error}") from None

    async def resolve(self, tenant: str, model: str, version: int | str | None) -> furoshiki.Version:
        """What a name and version mean now: the given number or alias, else the one in production, else the newest.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such model or version.
            Unavailable: ``STORE_001`` if the registry does not answer in time or refuses this service's own key.
        """
        with translated():
            async with asyncio.timeout(self._patience_s):
                return await self._acting_for(tenant).versions.resolve(model, version)

    async def form(self, tenant: str, version: furoshiki.Version) -> furoshiki.Variant | None:
        """The variant of a version to serve here; None: what was uploaded, which needs no question.

        Raises:
            Unavailable: ``DEVICE_001`` if no form of it runs here, ``STORE_001`` as :meth:`resolve`.
        """
        if self._prefers.takes(version):
            return None
        with translated():
            async with asyncio.timeout(self._patience_s):
                return await chosen(self._acting_for(tenant), version, self._prefers)

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
        with translated():
            async with asyncio.timeout(self._patience_s):
                async for item in items:
                    found.append(item)
                    if len(found) == MOST_LISTED:
                        break
        return found

    async def download(
        self, tenant: str, model: str, version: int, folder: Path, *, variant: str | None = None, digest: str = ""
    ) -> None:
        """Downloads a bundle into a folder. What arrives is not trusted: it has yet to be verified.

        Args:
            tenant: Whose.
            model: Its name.
            version: Its number.
            folder: Must not exist.
            variant: The variant's name; None: what was uploaded.
            digest: Of the variant's manifest.

        Raises:
            ModelError, Unavailable: As :meth:`resolve`.
        """
        with translated():
            client = self._acting_for(tenant)
            if variant is None:
                await client.versions.download(model, version, folder)
            else:
                await client.variants.download(model, version, variant, folder, digest=digest)

    async def tuning(
        self, tenant: str, model: str, version: int, *, device: str, variant: str | None = None
    ) -> bytes | None:
        """A version's ``tuning.json`` for devices of a fingerprint; it has yet to be verified.

        Returns:
            None if there is none, and while the registry cannot tell: a model is served without this advice as well.
        """
        try:
            with translated():
                async with asyncio.timeout(self._patience_s):
                    return await self._acting_for(tenant).tunings.document(
                        model, version, variant=variant, device=device
                    )
        except ModelError:
            return None
        except FuroshikiError as error:
            log.warning("tuning_ignored", model=f"{tenant}/{model}@{version}", reason=error.message, code=error.code)
            return None

    async def trust(self, tenant: str) -> TrustPolicy:
        """The tenant's trust policy as the registry has it; raises as :meth:`resolve`."""
        with translated():
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
