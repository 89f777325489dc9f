# SPDX-License-Identifier: Apache-2.0
"""Descriptors: what OCI documents say about content that lies elsewhere. Always media type, SHA-256 digest and size.

Follows the OCI image specification v1.1, ``descriptor.md``. Only SHA-256 is accepted. ``urls`` and ``data`` are not read:
content is fetched by digest from where the document came from, never from where the document points. Both are refused
where they would be needed, because such content is not in the layout or the registry.

Law: ``descriptor_from_json(descriptor_to_json(descriptor)) == descriptor``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

import msgspec

from artifacts.digest import DIGEST_PATTERN, Digest
from artifacts.oci.refusals import invalid_document

MAX_BLOB_BYTES: Final = 2**53 - 1  # the largest whole number every JSON reader keeps exactly
_MEDIA_TYPE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")
_DIGEST: Final = re.compile(DIGEST_PATTERN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What an image runs on, in Go's names."""

    architecture: str  # "amd64", "arm64"
    os: str = "linux"
    variant: str | None = None  # of the processor: "v8"
    os_version: str | None = None

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """Content by digest.

    Raises:
        SignatureError: ``SIGN_010`` if media type, digest or size cannot be one.
    """

    media_type: str
    digest: Digest
    size: int  # bytes
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    artifact_type: str | None = None  # of the manifest that is described
    platform: Platform | None = None

    def __post_init__(self) -> None:
        if _MEDIA_TYPE.fullmatch(self.media_type) is None:
            raise invalid_document("mediaType", self.media_type, "a media type")
        if _DIGEST.fullmatch(self.digest) is None:
            raise invalid_document("digest", self.digest, "'sha256:' and 64 lower-case hex digits")
        if not 0 <= self.size <= MAX_BLOB_BYTES:
            raise invalid_document("size", self.size, f"0 to {MAX_BLOB_BYTES} bytes")
        object.__setattr__(self, "annotations", MappingProxyType(dict(self.annotations)))

    def annotated(self, **changes: str | None) -> Descriptor:
        """The same content with other annotations; None removes one. Keys are given as ``**{"org.example": "x"}``."""
        merged = {**self.annotations, **changes}
        return replace(self, annotations={key: value for key, value in merged.items() if value is not None})

    @property
    def content(self) -> Descriptor:
        """Media type, digest and size alone."""
        return Descriptor(media_type=self.media_type, digest=self.digest, size=self.size)


class PlatformJson(msgspec.Struct, frozen=True, kw_only=True):
    """As it is written. Unknown fields are ignored, as the specification asks."""

    architecture: str
    os: str
    variant: str | None = None
    os_version: str | None = msgspec.field(default=None, name="os.version")


class DescriptorJson(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """As it is written. Unknown fields are ignored, as the specification asks."""

    media_type: str
    digest: str
    size: int
    annotations: dict[str, str] | None = None
    artifact_type: str | None = None
    platform: PlatformJson | None = None


def descriptor_from_json(written: DescriptorJson) -> Descriptor:
    """Checks what was read.

    Raises:
        SignatureError: ``SIGN_010``, naming the field.
    """
    platform = written.platform
    return Descriptor(
        media_type=written.media_type,
        digest=written.digest,
        size=written.size,
        annotations=written.annotations or {},
        artifact_type=written.artifact_type or None,
        platform=None
        if platform is None
        else Platform(
            architecture=platform.architecture,
            os=platform.os,
            variant=platform.variant,
            os_version=platform.os_version,
        ),
    )


def descriptor_to_json(descriptor: Descriptor) -> dict[str, object]:
    """The JSON object, without fields that are not set."""
    document: dict[str, object] = {
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    }
    if descriptor.annotations:
        document["annotations"] = dict(descriptor.annotations)
    if descriptor.artifact_type is not None:
        document["artifactType"] = descriptor.artifact_type
    if descriptor.platform is not None:
        document["platform"] = _platform_to_json(descriptor.platform)
    return document


def _platform_to_json(platform: Platform) -> dict[str, str]:
    written = {
        "architecture": platform.architecture,
        "os": platform.os,
        "variant": platform.variant,
        "os.version": platform.os_version,
    }
    return {key: value for key, value in written.items() if value is not None}
