# SPDX-License-Identifier: Apache-2.0
"""The data plane: what every protocol edge calls."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from core.errors import DeadlineExceeded, ErrorCode, FuroshikiError
from core.inference import InferenceRequest, InferenceResponse
from core.tensors import Signature
from runners.batching.waiting import wait_for
from runners.cache import LoadedModel
from services.dataplane.catalog.interface import Catalog
from services.dataplane.gate import Gate
from services.dataplane.meters import Meters
from services.dataplane.repository import Repository
from services.dataplane.requestlog.log import RequestLog
from services.dataplane.run import Run
from services.edge.context import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """What a caller may know of a model."""

    name: str
    version: str
    runner: str
    digest: str
    key_id: str
    signature: Signature


class DataPlane:
    """Finds, checks, runs and counts.

    Args:
        catalog: Where models come from.
        gate: How much of the service each tenant may use.
        meters: Counts requests; who closes models tells it so.
        control: Whether callers may load and unload models.
        log: Notes requests; None: nobody does.
    """

    def __init__(
        self,
        catalog: Catalog,
        gate: Gate,
        meters: Meters | None = None,
        *,
        control: bool = False,
        log: RequestLog | None = None,
    ) -> None:
        self._catalog = catalog
        self._gate = gate
        self._meters = Meters() if meters is None else meters
        self._log = log
        self.ready = catalog.ready
        repository = Repository(catalog, control=control)
        self.versions = repository.versions
        self.index = repository.index
        self.model_ready = repository.model_ready
        self.load = repository.load
        self.unload = repository.unload
        self.statistics = repository.statistics

    async def close(self, *, drain_s: float | None = None) -> None:
        """Lets accepted requests end, unloads every model, and gives back what it holds of limits that are shared.

        Args:
            drain_s: Seconds accepted requests have to end; then models are closed anyway. None: as long as they take.
        """
        await self._catalog.close(drain_s=drain_s)
        await self._gate.close()

    async def infer(self, principal: Principal, request: InferenceRequest, *, protocol: str) -> InferenceResponse:
        """Runs one request.

        Args:
            principal: Who asks.
            request: The decoded request.
            protocol: The edge it came through, for metrics.

        Raises:
            FuroshikiError: Whatever letting in, finding, checking or running the request may raise; see each.
        """
        try:
            self._gate.enter(principal)
        except FuroshikiError as error:
            self._note_refusal(principal, request.model, request.version, error, protocol)
            raise
        try:
            loaded = await self._acquire(principal, request.model, request.version, request.deadline)
        except BaseException:
            self._gate.leave(principal)
            raise
        return await wait_for(self._run(loaded, principal, protocol).submit, request)

    def begin(self, principal: Principal, model: str, version: str | None, *, protocol: str) -> Run | None:
        """Lets in a request whose model can be had without waiting, before anything of it is decoded.

        Returns:
            Wants one ``submit`` or ``fail``. None if the model must be looked up or loaded first: use :meth:`infer`.

        Raises:
            Overloaded: ``QUOTA_001`` if the tenant may not send a request now.
            ModelError: ``MODEL_001`` if it is known that the tenant has no such model.
        """
        loaded = self._catalog.lease(principal, model, version)
        if loaded is None:
            return None
        try:
            self._gate.enter(principal)
        except BaseException as error:
            if self._log is not None and isinstance(error, FuroshikiError):
                self._log.refused(principal, loaded, error.code, protocol)
            self._catalog.release(loaded)
            raise
        return self._run(loaded, principal, protocol)

    def _note_refusal(
        self, principal: Principal, model: str, version: str | None, error: FuroshikiError, protocol: str
    ) -> None:
        """Notes a request beyond a limit, if its model is known: names that callers make up are not kept."""
        if self._log is None:
            return
        with suppress(FuroshikiError):
            loaded = self._catalog.lease(principal, model, version)
            if loaded is not None:
                self._log.refused(principal, loaded, error.code, protocol)
                self._catalog.release(loaded)

    def _run(self, loaded: LoadedModel, principal: Principal, protocol: str) -> Run:
        return Run(
            loaded,
            principal,
            protocol=protocol,
            catalog=self._catalog,
            gate=self._gate,
            meters=self._meters,
            log=self._log,
        )

    async def _acquire(
        self, principal: Principal, model: str, version: str | None, deadline: float | None
    ) -> LoadedModel:
        if deadline is None:
            return await self._catalog.acquire(principal, model, version)
        try:
            async with asyncio.timeout_at(deadline):
                return await self._catalog.acquire(principal, model, version)
        except TimeoutError:
            raise DeadlineExceeded(
                ErrorCode.TIMEOUT, "The deadline passed before the model was ready.", retry_after=1.0
            ) from None

    async def describe(
        self, principal: Principal, model: str, version: str | None, *, deadline: float | None = None
    ) -> ModelDescription:
        """Loads the model if needed and tells what it takes and gives.

        Args:
            principal: Who asks.
            model: The model's name.
            version: A version number as text; None: the model's default version.
            deadline: On the event loop's clock; None: it may take as long as it takes.

        Raises:
            DeadlineExceeded: ``TIMEOUT_001`` if the deadline passes first.
            ModelError: ``MODEL_001`` if the tenant has no such model or version.
            SignatureError: ``SIGN_*`` if its bundle does not verify.
        """
        loaded = await self._acquire(principal, model, version, deadline)
        try:
            return ModelDescription(
                name=loaded.model,
                version=loaded.version,
                runner=loaded.handle.runner,
                digest=loaded.digest,
                key_id=loaded.key_id,
                signature=loaded.handle.signature,
            )
        finally:
            self._catalog.release(loaded)
