# SPDX-License-Identifier: Apache-2.0
"""The data plane: what every protocol edge calls."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from core.errors import DeadlineExceeded, ErrorCode, FuroshikiError
from core.inference import InferenceRequest, InferenceResponse
from core.tensors import Signature
from runners.cache import LoadedModel
from services.dataplane.admission import admit
from services.dataplane.catalog.interface import Catalog
from services.dataplane.meters import Meters
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
        meters: Counts requests; who closes models tells it so.
    """

    def __init__(self, catalog: Catalog, meters: Meters | None = None) -> None:
        self._catalog = catalog
        self._meters = Meters() if meters is None else meters
        self.ready = catalog.ready
        self.close = catalog.close

    async def infer(self, principal: Principal, request: InferenceRequest, *, protocol: str) -> InferenceResponse:
        """Runs one request.

        Args:
            principal: Who asks.
            request: The decoded request.
            protocol: The edge it came through, for metrics.

        Raises:
            FuroshikiError: Whatever finding, checking or running the request may raise; see each.
        """
        if request.deadline is None:
            loaded = await self._catalog.acquire(principal, request.model, request.version)
        else:
            loaded = await self._acquire(principal, request.model, request.version, request.deadline)
        code: str = ErrorCode.INTERNAL
        started = time.perf_counter()
        try:
            admit(request, loaded.handle.signature, subject=f"{request.model}@{loaded.version}")
            outputs = await loaded.handle.infer(request.inputs, deadline=request.deadline)
            code = "ok"
        except FuroshikiError as error:
            code = error.code
            raise
        except asyncio.CancelledError:
            code = "cancelled"
            raise
        finally:
            self._meters.count(loaded, protocol, code, time.perf_counter() - started)
            self._catalog.release(loaded)
        if request.outputs is not None:
            outputs = {name: outputs[name] for name in request.outputs}
        return InferenceResponse(
            model=loaded.model,
            version=loaded.version,
            digest=loaded.digest,
            outputs=outputs,
            dtypes=loaded.output_dtypes,
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
