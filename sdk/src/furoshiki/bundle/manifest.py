# SPDX-License-Identifier: Apache-2.0
"""The manifest: what was signed. Only its one canonical encoding (RFC 8785) is read, so one meaning has one digest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
import rfc8785

from furoshiki.bundle.paths import MANIFEST_NAME, check_paths
from furoshiki.bundle.refusals import Reason, refuse

DIGEST_PATTERN: Final = r"sha256:[0-9a-f]{64}"
NAME_PATTERN: Final = r"[a-z0-9][a-z0-9._-]{0,62}"
FILES_LIMIT: Final = 20_000

Digest: TypeAlias = Annotated[str, msgspec.Meta(pattern=rf"^{DIGEST_PATTERN}\Z")]
Name: TypeAlias = Annotated[str, msgspec.Meta(pattern=rf"^{NAME_PATTERN}\Z")]
Size: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
Moment: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]


class ManifestFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file that was signed."""

    path: str
    size: Size  # bytes
    digest: Digest


class ManifestTensor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One input or output; -1 in ``shape`` is a dimension of any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class ManifestSignature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the model takes and gives."""

    inputs: tuple[ManifestTensor, ...]
    outputs: tuple[ManifestTensor, ...]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one bundle is."""

    schema_version: Literal[1]
    kind: Literal["model", "bento"]
    tenant: Name
    model: Name
    version: Annotated[int, msgspec.Meta(ge=1)]
    variant: str  # "onnx-fp32/cpu"
    format: str
    files: Annotated[tuple[ManifestFile, ...], msgspec.Meta(min_length=1, max_length=FILES_LIMIT)]
    signature: ManifestSignature | None  # None: not known, always so for a bento
    parent: Digest | None  # the manifest this was made from; None: an upload
    producer: str
    created_at: Moment
    expires_at: Moment | None  # None: never
    metadata: Mapping[str, str]

    @property
    def ref(self) -> str:
        """``tenant/model@version``."""
        return f"{self.tenant}/{self.model}@{self.version}"

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def parse_manifest(data: bytes) -> Manifest:
    """Reads a manifest.

    Raises:
        SignatureRefused: ``SIGN_010`` if it is malformed, of another schema version or not canonical, ``SIGN_007``
            if it lists an unsafe path.
    """
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
        canonical = rfc8785.dumps(json.loads(data))
    except (ValueError, RecursionError, rfc8785.CanonicalizationError) as error:
        raise refuse(
            Reason.MANIFEST_INVALID, f"{MANIFEST_NAME} is not a manifest of schema version 1: {error}."
        ) from None
    if canonical != data:
        raise refuse(Reason.MANIFEST_INVALID, f"{MANIFEST_NAME} is not canonical JSON (RFC 8785).")
    check_paths(file.path for file in manifest.files)
    return manifest
