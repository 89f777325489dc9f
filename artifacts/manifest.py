# SPDX-License-Identifier: Apache-2.0
"""The manifest: what a bundle is and every file it holds. Its digest is the bundle's digest.

Law: ``Manifest.from_bytes(manifest.to_bytes()) == manifest``, and for each manifest there is exactly one ``data`` that
``from_bytes(data)`` accepts: canonical JSON (RFC 8785), files in the order of their path segments, times in RFC 3339 UTC
with milliseconds. So equal content always has an equal digest. ``docs/reference/bundle-format.md`` has every field.

A manifest says nothing about trust; :mod:`artifacts.signing.verifier` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
import rfc8785

from artifacts.digest import Digest, digest_bytes, parse_digest
from artifacts.manifest_rules import (
    MAX_FILE_BYTES,
    MAX_FILES,
    MAX_LABEL,
    MAX_MANIFEST_BYTES,
    check_metadata,
    check_parsed,
    check_tensors,
    check_text,
    check_variant,
    instant,
    invalid_manifest,
)
from artifacts.paths import MANIFEST_NAME, SIGNATURE_NAME, check_distinct, check_path, path_parts
from core.clock import rfc3339
from core.errors import ErrorCode, SignatureError, TensorError
from core.refs import ModelRef, parse_name, parse_version
from core.tensors import Signature, TensorSpec, dtype_from_oip

__all__ = ["MANIFEST_NAME", "MAX_MANIFEST_BYTES", "SIGNATURE_NAME", "FileEntry", "Kind", "Manifest", "check_path"]

Kind: TypeAlias = Literal["model", "bento"]

SCHEMA_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One file of a bundle."""

    path: str  # relative POSIX path
    size: int  # bytes
    digest: Digest

    def __post_init__(self) -> None:
        check_path(self.path)
        if not 0 <= self.size <= MAX_FILE_BYTES:
            raise invalid_manifest(f"size of {self.path!r}", self.size, f"0 to {MAX_FILE_BYTES} bytes")
        check_parsed(f"digest of {self.path!r}", lambda: parse_digest(self.digest))


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is signed. Construction puts files in order and times in UTC milliseconds, and refuses anything malformed.

    Raises:
        SignatureError: ``SIGN_010`` naming the field, ``SIGN_007`` naming the path.
    """

    kind: Kind
    tenant: str
    model: str
    version: int
    variant: str  # "<format>-<precision>/<device>", such as "onnx-fp32/cpu"
    format: str  # of the model files, such as "onnx"
    files: tuple[FileEntry, ...]
    signature: Signature | None = None  # inputs and outputs; None: not known, and always so for a bento
    parent: Digest | None = None  # the manifest this bundle was made from; None: from nothing the registry holds
    producer: str
    created_at: datetime
    expires_at: datetime | None = None  # None: never
    metadata: Mapping[str, str]

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.files, key=lambda entry: path_parts(entry.path)))
        object.__setattr__(self, "files", ordered)
        object.__setattr__(self, "created_at", instant("created_at", self.created_at))
        if self.expires_at is not None:
            object.__setattr__(self, "expires_at", instant("expires_at", self.expires_at))
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))
        self._check_identity()
        self._check_content()

    @property
    def ref(self) -> ModelRef:
        """The version this bundle is a form of."""
        return ModelRef(tenant=self.tenant, model=self.model, version=self.version)

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(entry.size for entry in self.files)

    @property
    def digest(self) -> Digest:
        """The bundle's digest: that of the manifest's bytes."""
        return digest_bytes(self.to_bytes())

    def to_bytes(self) -> bytes:
        """The canonical encoding.

        Raises:
            SignatureError: ``SIGN_010`` if it exceeds ``MAX_MANIFEST_BYTES``.
        """
        return _within_limit(_encode(self))

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Reads the canonical encoding.

        Raises:
            SignatureError: ``SIGN_010`` if there are too many bytes, or they are malformed, of another schema version, hold
                an unknown field or are not canonical; ``SIGN_007`` if a path is unsafe.
        """
        manifest = _decode(_within_limit(data))
        if manifest.to_bytes() != data:
            raise invalid_manifest(MANIFEST_NAME, "another encoding of the same content", "canonical JSON (RFC 8785)")
        return manifest

    def _check_identity(self) -> None:
        check_parsed("tenant", lambda: parse_name(self.tenant, what="tenant"))
        check_parsed("model", lambda: parse_name(self.model, what="model"))
        check_parsed("version", lambda: parse_version(str(self.version)))
        check_variant(self.variant, self.format)
        check_text("producer", self.producer, limit=MAX_LABEL)
        if self.parent is not None:
            parent = self.parent
            check_parsed("parent", lambda: parse_digest(parent))

    def _check_content(self) -> None:
        if not 0 < len(self.files) <= MAX_FILES:
            raise invalid_manifest("files", f"a list of {len(self.files)}", f"1 to {MAX_FILES} files")
        check_distinct(entry.path for entry in self.files)
        if self.signature is not None:
            if self.kind == "bento":
                raise invalid_manifest("signature", "present", "none for a bento")
            check_tensors("inputs", self.signature.inputs)
            check_tensors("outputs", self.signature.outputs)
        check_metadata(self.metadata)


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Unknown fields are an error, not an extension point."""


class _TensorJson(_Strict, frozen=True, kw_only=True):
    name: str
    datatype: str
    shape: tuple[int, ...]


class _SignatureJson(_Strict, frozen=True, kw_only=True):
    inputs: tuple[_TensorJson, ...]
    outputs: tuple[_TensorJson, ...]


class _FileJson(_Strict, frozen=True, kw_only=True):
    path: str
    size: int
    digest: str


class _ManifestJson(_Strict, frozen=True, kw_only=True):
    schema_version: Literal[1]
    kind: Literal["model", "bento"]
    tenant: str
    model: str
    version: int
    variant: str
    format: str
    files: Annotated[tuple[_FileJson, ...], msgspec.Meta(max_length=MAX_FILES)]
    signature: _SignatureJson | None
    parent: str | None
    producer: str
    created_at: Annotated[datetime, msgspec.Meta(tz=True)]
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None
    metadata: dict[str, str]


_DECODER: Final = msgspec.json.Decoder(_ManifestJson)


def _encode(manifest: Manifest) -> bytes:
    signature = manifest.signature
    document = {name: getattr(manifest, name) for name in ("kind", "tenant", "model", "version", "variant", "format")}
    document |= {
        "schema_version": SCHEMA_VERSION,
        "files": [{"path": file.path, "size": file.size, "digest": file.digest} for file in manifest.files],
        "signature": signature
        and {"inputs": _tensors_json(signature.inputs), "outputs": _tensors_json(signature.outputs)},
        "parent": manifest.parent,
        "producer": manifest.producer,
        "created_at": rfc3339(manifest.created_at),
        "expires_at": manifest.expires_at and rfc3339(manifest.expires_at),
        "metadata": dict(manifest.metadata),
    }
    return rfc8785.dumps(document)


def _decode(data: bytes) -> Manifest:
    try:
        document = _DECODER.decode(data)
        fields = msgspec.structs.asdict(document)
        fields["signature"] = _signature(document.signature)
    except (ValueError, RecursionError, TensorError) as error:
        raise SignatureError(
            ErrorCode.MANIFEST_INVALID,
            f"{MANIFEST_NAME} is not a manifest of schema version {SCHEMA_VERSION}: {error}.",
            details={"file": MANIFEST_NAME},
        ) from None
    del fields["schema_version"]
    fields["files"] = tuple(FileEntry(path=file.path, size=file.size, digest=file.digest) for file in document.files)
    return Manifest(**fields)


def _signature(document: _SignatureJson | None) -> Signature | None:
    if document is None:
        return None
    return Signature(inputs=_specs(document.inputs), outputs=_specs(document.outputs))


def _specs(tensors: tuple[_TensorJson, ...]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name=t.name, dtype=dtype_from_oip(t.datatype), shape=t.shape) for t in tensors)


def _tensors_json(specs: tuple[TensorSpec, ...]) -> list[dict[str, str | list[int]]]:
    return [{"name": spec.name, "datatype": spec.dtype.oip, "shape": list(spec.shape)} for spec in specs]


def _within_limit(data: bytes) -> bytes:
    if len(data) > MAX_MANIFEST_BYTES:
        raise invalid_manifest(MANIFEST_NAME, f"{len(data)} bytes", f"at most {MAX_MANIFEST_BYTES} bytes")
    return data
