# SPDX-License-Identifier: Apache-2.0
"""Image manifests and indexes, read from untrusted bytes and written canonically.

Follows the OCI image specification v1.1 (``manifest.md``, ``image-index.md``). Reading guards against one document that two
readers understand differently: the ``mediaType`` inside must be the one the document was fetched as, ``layers`` and
``manifests`` never stand together (CVE-2021-41190), and a name may stand only once in an object. Writing is canonical JSON
(RFC 8785), so equal content has an equal digest.

Law: ``parse_document(encode_document(document), document.media_type) == document``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import msgspec
import rfc8785

from artifacts.oci.descriptor import Descriptor, DescriptorJson, descriptor_from_json, descriptor_to_json
from artifacts.oci.media import DOCUMENTS, IMAGE_INDEX, IMAGE_MANIFEST, INDEXES
from artifacts.oci.refusals import invalid_document, too_large

MAX_DOCUMENT_BYTES: Final = 4 * 1024 * 1024  # what the distribution specification lets registries refuse
MAX_ENTRIES: Final = 4_096  # layers of an image, manifests of an index


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageManifest:
    """One image, or one artifact shaped like an image."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    media_type: str = IMAGE_MANIFEST
    subject: Descriptor | None = None  # the manifest this one is attached to
    artifact_type: str | None = None  # None: an image
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        _check_count("layers", len(self.layers))
        object.__setattr__(self, "annotations", MappingProxyType(dict(self.annotations)))

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Configuration and layers, each content once, in order."""
        return tuple({found.digest: found for found in (self.config, *self.layers)}.values())

    @property
    def kind(self) -> str:
        """The artifact type; for older artifacts the media type of the configuration stands for it."""
        return self.artifact_type or self.config.media_type


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageIndex:
    """Several manifests under one digest, one per platform or one per thing that is attached."""

    manifests: tuple[Descriptor, ...]
    media_type: str = IMAGE_INDEX
    subject: Descriptor | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        _check_count("manifests", len(self.manifests))
        object.__setattr__(self, "annotations", MappingProxyType(dict(self.annotations)))


Document: TypeAlias = ImageManifest | ImageIndex


class _DocumentJson(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Both kinds at once; unknown fields are ignored, as the specification asks."""

    schema_version: int
    media_type: str | None = None
    artifact_type: str | None = None
    config: DescriptorJson | None = None
    layers: tuple[DescriptorJson, ...] | None = None
    manifests: tuple[DescriptorJson, ...] | None = None
    subject: DescriptorJson | None = None
    annotations: dict[str, str] | None = None


def parse_document(data: bytes, media_type: str) -> Document:
    """Reads a manifest or an index.

    Args:
        data: The whole document.
        media_type: What it was fetched as: from its descriptor, or from the registry's ``Content-Type``.

    Raises:
        InvalidRequest: ``VALID_003`` if it has more than ``MAX_DOCUMENT_BYTES``.
        SignatureError: ``SIGN_010`` if it is malformed, ambiguous or of another type.
    """
    if media_type not in DOCUMENTS:
        raise invalid_document("mediaType", media_type, "an image manifest or an image index")
    written = _decoded(data)
    if written.schema_version != 2:
        raise invalid_document("schemaVersion", written.schema_version, "2")
    if written.media_type not in (None, "", media_type):
        raise invalid_document("mediaType", written.media_type, f"{media_type!r}, as which it was fetched")
    if (written.layers is None) == (written.manifests is None):
        raise invalid_document("layers and manifests", "both or neither present", "one of them")
    subject = None if written.subject is None else descriptor_from_json(written.subject)
    facts = {"subject": subject, "artifact_type": written.artifact_type or None, "media_type": media_type}
    return _document(written, {**facts, "annotations": written.annotations or {}}, index=media_type in INDEXES)


def encode_document(document: Document) -> bytes:
    """The canonical bytes, whose digest is the document's.

    Raises:
        InvalidRequest: ``VALID_003`` if there are more than ``MAX_DOCUMENT_BYTES``.
    """
    written: dict[str, Any] = {"schemaVersion": 2, "mediaType": document.media_type}
    if document.artifact_type is not None:
        written["artifactType"] = document.artifact_type
    if isinstance(document, ImageManifest):
        written["config"] = descriptor_to_json(document.config)
        written["layers"] = [descriptor_to_json(layer) for layer in document.layers]
    else:
        written["manifests"] = [descriptor_to_json(manifest) for manifest in document.manifests]
    if document.subject is not None:
        written["subject"] = descriptor_to_json(document.subject)
    if document.annotations:
        written["annotations"] = dict(document.annotations)
    data = rfc8785.dumps(written)
    if len(data) > MAX_DOCUMENT_BYTES:
        raise too_large("The OCI document", len(data), MAX_DOCUMENT_BYTES)
    return data


def strict_json(data: bytes) -> Any:
    """JSON in which each name stands once in its object, in whatever case, without NaN, infinities and broken Unicode.

    Go's readers take ``Layers`` for ``layers``: where both stand, others would see another image than we do.

    Raises:
        InvalidRequest: ``VALID_003`` if there are more than ``MAX_DOCUMENT_BYTES``.
        SignatureError: ``SIGN_010`` if it is malformed.
    """
    if len(data) > MAX_DOCUMENT_BYTES:
        raise too_large("The OCI document", len(data), MAX_DOCUMENT_BYTES)
    try:
        found = json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
        if b"\\u" in data:  # perhaps half of a surrogate pair, which can be neither shown nor written
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise invalid_document("the document", type(error).__name__, "JSON with each name once in its object") from None
    return found


def _decoded(data: bytes) -> _DocumentJson:
    try:
        return msgspec.convert(strict_json(data), _DocumentJson)
    except msgspec.ValidationError as error:
        raise invalid_document("the document", str(error), "the fields of the specification") from None


def _document(written: _DocumentJson, facts: dict[str, Any], *, index: bool) -> Document:
    if index:
        if written.manifests is None or written.config is not None:
            raise invalid_document("manifests", "absent, or beside a config", "a list, in an image index")
        _check_count("manifests", len(written.manifests))
        return ImageIndex(manifests=tuple(map(descriptor_from_json, written.manifests)), **facts)
    if written.layers is None or written.config is None:
        raise invalid_document("config and layers", "absent", "both, in an image manifest")
    _check_count("layers", len(written.layers))
    layers = tuple(map(descriptor_from_json, written.layers))
    return ImageManifest(config=descriptor_from_json(written.config), layers=layers, **facts)


def _check_count(field_name: str, count: int) -> None:
    if count > MAX_ENTRIES:
        raise invalid_document(field_name, f"a list of {count}", f"at most {MAX_ENTRIES}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len({name.casefold() for name in found}) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(name)
