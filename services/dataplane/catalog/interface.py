# SPDX-License-Identifier: Apache-2.0
"""The catalog port: from a name and a caller to a verified, loaded, leased model."""

from __future__ import annotations

from typing import Protocol

from core.errors import ErrorCode, ModelError
from runners.cache import LoadedModel
from services.edge.context import Principal


class Catalog(Protocol):
    """What serves the data plane with models."""

    async def acquire(self, principal: Principal, model: str, version: str | None) -> LoadedModel:
        """Leases a model of the caller's tenant; loads it first if needed. Wants one ``release``.

        Args:
            principal: Who asks; decides the tenant.
            model: The model's name.
            version: A version number as text; None: the model's default version.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such model or version.
            SignatureError: ``SIGN_*`` if its bundle does not verify.
        """
        ...

    def release(self, model: LoadedModel) -> None:
        """Ends the lease."""
        ...

    async def ready(self) -> bool:
        """Whether requests can be answered now; cheap."""
        ...

    async def close(self, *, drain_s: float | None = None) -> None:
        """Drains and closes every model.

        Args:
            drain_s: Seconds accepted requests have to end; then models are closed anyway. None: as long as they take.
        """
        ...


def not_found(model: str, version: str | None) -> ModelError:
    """The answer for a model that does not exist for the caller, whoever else may have it."""
    what = f"Model {model[:80]!r}" + (f" version {version[:20]!r}" if version else "")
    return ModelError(ErrorCode.MODEL_NOT_FOUND, f"{what} does not exist.", details={"model": model[:80]})
