# SPDX-License-Identifier: Apache-2.0
"""Models, versions and variants as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from artifacts.digest import Digest
from artifacts.manifest import FileEntry
from core.tensors import TensorSpec


class Stage(StrEnum):
    """Where a version stands; the comment on each line is its meaning."""

    DEVELOPMENT = "DEVELOPMENT"  # registered, tried by its authors
    STAGING = "STAGING"  # candidate for production
    PRODUCTION = "PRODUCTION"  # what callers get who name no version; at most one per model
    DEPRECATED = "DEPRECATED"  # kept for the record, not to be used


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """That something was deleted. It is hidden, and can be restored until it is purged."""

    at: datetime
    by: str  # name of the API key
    reason: str
    purge_at: datetime  # the first sweep after this removes it for good


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A name inside a tenant, and where its versions stand."""

    tenant: str
    name: str
    description: str
    tags: tuple[str, ...]  # "key:value" or "key"
    latest_version: int | None  # the newest that is there; None: there is none
    production_version: int | None  # None: nothing in production
    created_at: datetime
    updated_at: datetime
    last_number: int = 0  # the highest that was ever given to a version, deleted and purged ones included
    deletion: Deletion | None = None  # None: it is not deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """An executable form of a version, signed on its own."""

    name: str  # "<format>-<precision>/<device>"
    format: str
    precision: str
    device: str
    digest: Digest  # of its manifest
    signature_digest: Digest  # of the blob that holds its signature
    key_id: str  # of the key that signed it
    size: int  # bytes of its files
    source: bool  # whether it is what was uploaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Deprecation:
    """A version that is not to be used any more."""

    since: datetime
    sunset: datetime | None  # when it may stop being served; None: not decided
    message: str  # what to use instead


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One registered version. Its bytes never change; its stage, description and tags may."""

    tenant: str
    model: str
    version: int
    stage: Stage
    format: str
    digest: Digest  # of its manifest
    signature_digest: Digest  # of the blob that holds its signature
    key_id: str  # of the key that signed it
    size: int  # bytes of its files
    files: tuple[FileEntry, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    metadata: Mapping[str, str]
    created_at: datetime
    created_by: str  # name of the API key
    variants: tuple[Variant, ...]
    description: str = ""
    tags: tuple[str, ...] = ()  # "key:value" or "key"
    deprecation: Deprecation | None = None  # None: it is not deprecated
    deletion: Deletion | None = None  # None: it is not deleted

    def variant(self, name: str | None = None) -> Variant | None:
        """The variant of that name, or the source one; None if there is none of that name."""
        return next((v for v in self.variants if (v.source if name is None else v.name == name)), None)

    def file(self, path: str) -> FileEntry | None:
        """The file at ``path``; None if the version has none there."""
        return next((entry for entry in self.files if entry.path == path), None)
