# SPDX-License-Identifier: Apache-2.0
"""From a name's meaning to a loaded model: fetched from the registry, verified, loaded.

A few models are fetched and loaded at a time, and none that would not fit into the cache. Where hosts take turns
(:mod:`artifacts.coordination.turns`), a few of them load the same model at once, so that a fleet that starts does not pull
it all at once; who has waited long enough loads it all the same.
"""

from __future__ import annotations

import asyncio
import tempfile
from functools import partial
from pathlib import Path
from typing import Final

from artifacts.coordination.interface import Turns
from artifacts.signing.policy import Subject
from artifacts.signing.verifier import revoked_error
from artifacts.source import DirectorySource
from core.errors import ErrorCode, InvalidRequest, SignatureError
from runners.bundles import ModelLoader
from runners.cache import LoadedModel, ModelCache
from services.dataplane.registry import RegistryGateway
from services.dataplane.trust.live import LiveTrust

_TURN_WAIT_S: Final = 60.0  # for other hosts that load the same model


class Fetcher:
    """Fetches and loads models.

    Args:
        gateway: Asks the registry.
        trust: The keys each tenant trusts.
        loader: Verifies and loads.
        cache: What is loaded has to fit into it.
        loads: Models fetched and loaded at a time.
        scratch: The folder a download lies in until it is loaded; None: the system's own.
        turns: Which hosts may load the same model at once.
        hosts: How many.
    """

    def __init__(
        self,
        gateway: RegistryGateway,
        *,
        trust: LiveTrust,
        loader: ModelLoader,
        cache: ModelCache,
        loads: int,
        scratch: Path | None,
        turns: Turns,
        hosts: int,
    ) -> None:
        self._gateway = gateway
        self._trust = trust
        self._loader = loader
        self._cache = cache
        self._loads = asyncio.Semaphore(loads)
        self._scratch = scratch
        self._turns = turns
        self._hosts = hosts

    async def load(
        self, tenant: str, model: str, version: int, digest: str, size: int, *, variant: str | None = None
    ) -> LoadedModel:
        """Fetches, verifies and loads a version.

        Args:
            tenant: Whose.
            model: Its name.
            version: Its number.
            digest: What the registry named as its bundle's.
            size: Bytes of its files.
            variant: Which of its variants; None: what was uploaded.

        Raises:
            InvalidRequest: ``VALID_003`` if it is larger than the cache.
            SignatureError: ``SIGN_*`` if its bundle does not verify, or is another one than was named.
            ModelError, Unavailable: As :meth:`RegistryGateway.download`.
        """
        if size > self._cache.capacity:
            raise _too_large(model, version, size, self._cache.capacity)
        turn = self._turns.take(f"load:{tenant}:{digest}", among=self._hosts, wait_s=_TURN_WAIT_S)
        async with turn, self._loads:
            loaded = await self._fetched(tenant, model, version, digest, variant)
        if loaded.digest != digest:
            self._cache.discard(loaded)
            raise SignatureError(
                ErrorCode.SUBJECT_MISMATCH,
                f"The registry sent bundle {loaded.digest} for {model}@{version}; it had named {digest}.",
            )
        return loaded

    async def _fetched(self, tenant: str, model: str, version: int, digest: str, variant: str | None) -> LoadedModel:
        await self._trust.refresh(tenant)
        policy = self._trust.policy(tenant)
        if digest in policy.revoked_digests:
            raise revoked_error("manifest", digest)  # before it is fetched in vain
        subject = Subject(tenant=tenant, model=model, version=version, variant=variant)
        scratch = await asyncio.to_thread(
            partial(tempfile.TemporaryDirectory[str], prefix="furoshiki-", dir=self._scratch)
        )
        try:
            folder = Path(scratch.name) / "bundle"
            await self._gateway.download(tenant, model, version, folder, variant=variant, digest=digest)
            device = self._loader.device
            tuning = None
            if device is not None:
                tuning = await self._gateway.tuning(tenant, model, version, device=device, variant=variant)
            return await self._loader.load(DirectorySource(folder), subject=subject, policy=policy, tuning=tuning)
        finally:
            # Not awaited: a load that is given up while it waits here would leave its model open.
            asyncio.get_running_loop().run_in_executor(None, scratch.cleanup)


def _too_large(model: str, version: int, size: int, capacity: int) -> InvalidRequest:
    return InvalidRequest(
        ErrorCode.TOO_LARGE,
        f"{model}@{version} has {size} bytes; this service keeps at most {capacity} bytes of models. "
        "Its operator can raise FUROSHIKI_CACHE__BYTES.",
        details={"size": size, "limit": capacity},
    )
