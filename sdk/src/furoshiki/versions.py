# SPDX-License-Identifier: Apache-2.0
"""Versions of a model: immutable, numbered 1, 2, 3…; only their stage moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from furoshiki.api import API, get_request, json_request
from furoshiki.cards import Lineage
from furoshiki.deletions import Deletion, delete_request, restore_request
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
class Deprecation:
    """A version that is not to be used any more."""

    since: datetime
    sunset: datetime | None = None  # when it may stop being served; None: not decided
    message: str = ""  # what to use instead

    @property
    def summary(self) -> str:
        """One line."""
        until = "" if self.sunset is None else f", until {self.sunset.isoformat()}"
        return f"since {self.since.isoformat()}{until}{f': {self.message}' if self.message else ''}"


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
    description: str = ""
    tags: tuple[str, ...] = ()
    # Of versions that were asked for by number: to change one only if nobody else did meanwhile.
    etag: str | None = field(default=None, compare=False)
    deprecation: Deprecation | None = None  # None: it is not deprecated
    deletion: Deletion | None = None  # None: it is not deleted

    @property
    def ref(self) -> str:
        """``tenant/model@version``."""
        return f"{self.tenant}/{self.model}@{self.version}"


class Versions(Resource[D]):
    """``client.versions``."""

    @listing
    def list(
        self,
        model: str,
        *,
        stage: str | None = None,
        format: str | None = None,  # noqa: A002 - the registry's word
        deleted: bool = False,
    ) -> Items[Version]:
        """The versions of a model, newest first; None: of whatever stage or format.

        Args:
            model: The model.
            stage: Of that stage.
            format: Of that format.
            deleted: Those that were deleted and can be restored, in place of the others.
        """
        conditions = {
            "stage": None if stage is None else stage.upper(),
            "format": format,
            "deleted": "true" if deleted else None,
        }
        query = {key: value for key, value in conditions.items() if value is not None}
        yield from self._api.pages(path("models", model, "versions"), Version, query)

    @operation
    def get(self, model: str, version: int) -> Steps[Version]:
        """One version.

        Raises:
            NotFound: ``MODEL_001`` if there is none of that number.
        """
        return (yield from self._api.tagged(get_request(path("models", model, "versions", version)), Version))

    @operation
    def describe(
        self,
        model: str,
        version: int,
        *,
        description: str | None = None,
        tags: Sequence[str] | None = None,
        etag: str | None = None,
    ) -> Steps[Version]:
        """Changes a version's description or tags; what is None stays as it is. Its bytes and signature never change.

        Raises:
            Conflict: ``STATE_003`` if ``etag`` is given and somebody else changed it meanwhile.
        """
        fields = {"description": description, "tags": None if tags is None else [*tags]}
        request = json_request("PATCH", path("models", model, "versions", version), fields, etag=etag)
        return (yield from self._api.tagged(request, Version))

    @operation
    def delete(self, model: str, version: int, *, reason: str, etag: str | None = None) -> Steps[Version]:
        """Deletes a version; it can be restored until ``deletion.purge_at`` of what is returned.

        Args:
            model: The model.
            version: Its version. The number is never given again.
            reason: Why, for the history.
            etag: Delete it only if this is still its ETag.

        Raises:
            NotFound: ``MODEL_001`` if there is none of that number.
            Conflict: ``STATE_004`` if it is used (``details`` list by what and how to clear it), ``STATE_003`` if
                somebody else changed it meanwhile.
        """
        request = delete_request(path("models", model, "versions", version), reason=reason, etag=etag)
        return (yield from self._api.tagged(request, Version))

    @operation
    def restore(self, model: str, version: int, *, reason: str, etag: str | None = None) -> Steps[Version]:
        """Brings a deleted version back as it was.

        Raises:
            NotFound: ``MODEL_001`` if there is no deleted one of that number, it was purged, or its model is deleted.
            Conflict: ``STATE_003`` if ``etag`` is given and is not that of the deleted version.
        """
        request = restore_request(path("models", model, "versions", version), reason=reason, etag=etag)
        return (yield from self._api.tagged(request, Version))

    @operation
    def lineage(self, model: str, version: int) -> Steps[Lineage]:
        """Where a version comes from and what became of it."""
        return (yield from self._api.fetch(get_request(path("models", model, "versions", version, "lineage")), Lineage))

    @operation
    def resolve(self, model: str, version: int | str | None = None) -> Steps[Version]:
        """The version a reference means: the given number or alias, else the one in production, else the newest.

        Raises:
            NotFound: ``MODEL_001`` if there is none.
        """
        query = {} if version is None else {"alias" if isinstance(version, str) else "version": str(version)}
        return (yield from self._api.fetch(get_request(path("models", model, "resolve"), query), Version))

    @operation
    def stage(self, model: str, version: int, stage: str, *, reason: str, override: bool = False) -> Steps[Version]:
        """Moves a version to DEVELOPMENT, STAGING, PRODUCTION or DEPRECATED.

        Args:
            model: The model.
            version: Its version.
            stage: Where to.
            reason: Why, for the history.
            override: Although gates are not met; needs the role ``tenant-admin`` and gates that permit it.

        Raises:
            Conflict: ``STATE_001`` if the version may not go there from where it is, ``GATE_001`` if gates are not met.
        """
        request = json_request(
            "PUT",
            path("models", model, "versions", version, "stage"),
            {"stage": stage.upper(), "reason": reason, "override": override or None},
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
