# SPDX-License-Identifier: Apache-2.0
"""Versions of a model: immutable, numbered 1, 2, 3…; only their stage moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from furoshiki.api import API, get_request, json_request
from furoshiki.downloads import download_bundle
from furoshiki.progress import OnProgress
from furoshiki.resource import D, Resource, listing, operation
from furoshiki.steps import Items, Steps, path


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of a version."""

    path: str
    size: int  # bytes
    digest: str  # "sha256:<hex>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One input or output; -1 in ``shape`` is a dimension of any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One executable form of a version."""

    name: str  # "onnx-fp32/cpu"
    format: str
    precision: str
    device: str
    digest: str
    key_id: str
    size: int  # bytes
    source: bool  # whether it is what was uploaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a model."""

    tenant: str
    model: str
    version: int
    stage: str
    format: str
    digest: str  # of its manifest
    key_id: str  # of the key that signed it
    size: int  # bytes of all files
    files: tuple[File, ...] = ()
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    created_at: datetime
    created_by: str | None = None
    variants: tuple[Variant, ...] = ()

    @property
    def ref(self) -> str:
        """``tenant/model@version``."""
        return f"{self.tenant}/{self.model}@{self.version}"


class Versions(Resource[D]):
    """``client.versions``."""

    @listing
    def list(self, model: str) -> Items[Version]:
        """The versions of a model, newest first."""
        yield from self._api.pages(path("models", model, "versions"), Version)

    @operation
    def get(self, model: str, version: int) -> Steps[Version]:
        """One version.

        Raises:
            NotFound: ``MODEL_001`` if there is none of that number.
        """
        return (yield from self._api.fetch(get_request(path("models", model, "versions", version)), Version))

    @operation
    def resolve(self, model: str, version: int | None = None) -> Steps[Version]:
        """The version a reference means: the given one, else the one in production, else the newest."""
        query = {} if version is None else {"version": str(version)}
        return (yield from self._api.fetch(get_request(path("models", model, "resolve"), query), Version))

    @operation
    def stage(self, model: str, version: int, stage: str, *, reason: str) -> Steps[Version]:
        """Moves a version to DEVELOPMENT, STAGING, PRODUCTION or DEPRECATED.

        Args:
            model: The model.
            version: Its version.
            stage: Where to.
            reason: Why, for the history.

        Raises:
            Conflict: ``STATE_001`` if the version may not go there from where it is.
        """
        request = json_request(
            "PUT",
            path("models", model, "versions", version, "stage"),
            {"stage": stage.upper(), "reason": reason},
        )
        return (yield from self._api.fetch(request, Version))

    @operation
    def download(
        self, model: str, version: int, directory: Path | str, *, progress: OnProgress | None = None
    ) -> Steps[Path]:
        """Downloads a version's signed bundle: manifest, signature and files.

        The directory appears complete, with every digest checked, or not at all. Whether a key you trust signed it is
        another question: ask :func:`furoshiki.verify`.

        Args:
            model: The model.
            version: Its version.
            directory: Where to; must not exist yet, or be empty.
            progress: Told the bytes so far.

        Returns:
            The directory.

        Raises:
            SignatureRefused: ``SIGN_004`` if what arrived is not what the registry announced.
            InvalidRequest: ``CLIENT_004`` if the directory is in the way or cannot be written.
        """
        wanted = yield from Versions.get.steps(self, model, version)
        root = API + path("models", model, "versions", version)
        yield from download_bundle(self._api, root, wanted.digest, Path(directory), progress)
        return Path(directory)
