# SPDX-License-Identifier: Apache-2.0
"""The catalog port: from a name and a caller to a verified, loaded, leased model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from core.errors import ErrorCode, InvalidRequest, ModelError
from core.refs import parse_name, parse_version
from runners.cache import LoadedModel
from services.edge.context import Principal


class State(StrEnum):
    """Whether a version can be used, in the words of the protocol's repository extension."""

    READY = "READY"  # loaded, and a request would be run now
    LOADING = "LOADING"  # being fetched, verified and loaded
    UNAVAILABLE = "UNAVAILABLE"  # not loaded; ``reason`` says why


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelState:
    """One version in the index of a repository."""

    name: str
    version: str  # empty: the model has no version
    state: State
    reason: str = ""  # empty: there is nothing to say


class Catalog(Protocol):
    """What serves the data plane with models. A caller sees the models of its own tenant and no others."""

    async def acquire(self, principal: Principal, model: str, version: str | None) -> LoadedModel:
        """Leases a model of the caller's tenant; loads it first if needed. Wants one ``release``.

        Args:
            principal: Who asks; decides the tenant.
            model: The model's name.
            version: A version number as text, or an alias; None: the model's default version.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such model or version.
            SignatureError: ``SIGN_*`` if its bundle does not verify.
            Unavailable: ``MODEL_002`` if it was unloaded and is not loaded by a request.
        """
        ...

    def lease(self, principal: Principal, model: str, version: str | None) -> LoadedModel | None:
        """Leases as ``acquire`` does, if the model is loaded and its name known; None if that must be found out."""
        ...

    def release(self, model: LoadedModel) -> None:
        """Ends the lease."""
        ...

    def loaded(self, principal: Principal) -> Sequence[LoadedModel]:
        """What is loaded of the caller's tenant."""
        ...

    async def resolve(self, principal: Principal, model: str, version: str | None) -> str:
        """The version a name means, whether it is loaded or not.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such model or version.
        """
        ...

    async def versions(self, principal: Principal, model: str) -> Sequence[str]:
        """The versions of a model, oldest first; those that are loaded while nobody knows of others.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such model.
        """
        ...

    async def index(self, principal: Principal) -> Sequence[ModelState]:
        """The default version of each model, and every other that is loaded."""
        ...

    async def load(self, principal: Principal, model: str) -> None:
        """Loads a model's default version; nothing to do if it is loaded.

        Raises:
            ModelError, SignatureError: As ``acquire``.
        """
        ...

    async def unload(self, principal: Principal, model: str) -> None:
        """Takes every version of a model out of memory: accepted requests end, new ones are not accepted by what goes.

        Raises:
            Conflict: ``STATE_001`` if this process does not decide about it.
            ModelError: ``MODEL_001`` if the tenant has no such model.
        """
        ...

    @property
    def tenants(self) -> frozenset[str]:
        """Whose models are loaded."""
        ...

    def withdraw(self) -> None:
        """Stops offering every loaded model that its tenant does not trust any more; what was accepted ends."""
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


def state_of(model: LoadedModel) -> ModelState:
    """The index entry of a loaded model."""
    if model.handle.ready:
        return ModelState(name=model.model, version=model.version, state=State.READY)
    return ModelState(
        name=model.model, version=model.version, state=State.UNAVAILABLE, reason="its runner is not running now"
    )


def asked_version(model: str, version: str | None) -> int | str | None:
    """The version asked for: its number or an alias. An illegal name names nothing: it is neither asked about nor remembered.

    Raises:
        ModelError: ``MODEL_001`` if the model's name is not legal, or the version neither a number nor an alias.
    """
    try:
        parse_name(model, what="model")
        if version is None:
            return None
        return parse_name(version, what="alias") if version[:1].isalpha() else parse_version(version)
    except InvalidRequest:
        raise not_found(model, version) from None
