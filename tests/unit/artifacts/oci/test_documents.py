# SPDX-License-Identifier: Apache-2.0
"""Manifests and indexes from untrusted bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from artifacts.digest import digest_bytes
from artifacts.oci.descriptor import Descriptor
from artifacts.oci.documents import (
    MAX_DOCUMENT_BYTES,
    MAX_ENTRIES,
    ImageIndex,
    ImageManifest,
    encode_document,
    parse_document,
)
from artifacts.oci.media import DOCKER_INDEX, DOCKER_MANIFEST, IMAGE_CONFIG, IMAGE_INDEX, IMAGE_MANIFEST, LAYER_TAR
from artifacts.stores.testing import refused
from core.errors import ErrorCode

BLOB = {"mediaType": LAYER_TAR, "digest": digest_bytes(b"x"), "size": 1}
MANIFEST: dict[str, Any] = {"schemaVersion": 2, "mediaType": IMAGE_MANIFEST, "config": BLOB, "layers": [BLOB]}
INDEX: dict[str, Any] = {"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": [BLOB]}


def parsed(document: object, media_type: str = IMAGE_MANIFEST) -> ImageManifest | ImageIndex:
    """Parses a JSON value."""
    return parse_document(json.dumps(document).encode(), media_type)


def test_both_kinds_are_read() -> None:
    """Of OCI and of Docker; a document without its own media type is what it was fetched as."""
    for media_type in (IMAGE_MANIFEST, DOCKER_MANIFEST):
        found = parsed({**MANIFEST, "mediaType": media_type}, media_type)
        assert isinstance(found, ImageManifest)
        assert found.media_type == media_type
    for media_type in (IMAGE_INDEX, DOCKER_INDEX):
        assert isinstance(parsed({**INDEX, "mediaType": media_type}, media_type), ImageIndex)
    assert parsed({key: value for key, value in MANIFEST.items() if key != "mediaType"}) == parsed(MANIFEST)


def test_unknown_fields_are_ignored() -> None:
    """As the specification asks."""
    assert parsed({**MANIFEST, "com.example": {"a": 1}}) == parsed(MANIFEST)


@pytest.mark.parametrize(
    "change",
    [
        {"schemaVersion": 1},
        {"schemaVersion": "2"},
        {"mediaType": IMAGE_INDEX},
        {"manifests": []},
        {"layers": None},
        {"config": None},
        {"config": {**BLOB, "digest": "sha512:" + "0" * 128}},
        {"config": {**BLOB, "digest": BLOB["digest"].upper()}},  # type: ignore[attr-defined]
        {"config": {**BLOB, "size": -1}},
        {"config": {**BLOB, "size": 2**53}},
        {"config": {**BLOB, "size": 1.5}},
        {"config": {**BLOB, "mediaType": "text"}},
        {"config": {**BLOB, "mediaType": "a/b\r\nx: y"}},
        {"config": {**BLOB, "annotations": {"a": 1}}},
        {"layers": [BLOB] * (MAX_ENTRIES + 1)},
        {"subject": {"digest": "x"}},
        {"artifactType": "\ud800"},
        {"annotations": {"\udfff": ""}},
        {"config": {**BLOB, "size": 10**30}},
    ],
)
def test_malformed_manifests_are_refused(change: dict[str, Any]) -> None:
    """Each with the code of a malformed document."""
    with refused(ErrorCode.MANIFEST_INVALID):
        parsed({**MANIFEST, **change})


def test_a_document_that_two_readers_understand_differently_is_refused() -> None:
    """Layers beside manifests, or one name twice (CVE-2021-41190)."""
    with refused(ErrorCode.MANIFEST_INVALID):
        parsed({**INDEX, "layers": []}, IMAGE_INDEX)
    with refused(ErrorCode.MANIFEST_INVALID):
        parsed({**INDEX, "config": BLOB}, IMAGE_INDEX)
    for name in ("layers", "Layers", "LAYERS", "layer\u017f"):  # for readers in Go these are one name
        twice = json.dumps(MANIFEST)[:-1] + f', "{name}": []}}'
        with refused(ErrorCode.MANIFEST_INVALID):
            parse_document(twice.encode(), IMAGE_MANIFEST)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"\xff",
        b'"' + b"[" * 10,
        b'{"schemaVersion": NaN}',
        b"[" * 100_000,
        b"9" * 5_000,
        b"\xef\xbb\xbf{}",
    ],
)
def test_what_is_no_object_is_refused(data: bytes) -> None:
    """Whatever bytes there are."""
    with refused(ErrorCode.MANIFEST_INVALID):
        parse_document(data, IMAGE_MANIFEST)


def test_other_types_and_sizes_are_refused() -> None:
    """A media type that is neither, and a document that is too large, read or written."""
    with refused(ErrorCode.MANIFEST_INVALID):
        parsed(MANIFEST, "text/html")
    with refused(ErrorCode.TOO_LARGE):
        parse_document(b" " * (MAX_DOCUMENT_BYTES + 1), IMAGE_MANIFEST)
    with refused(ErrorCode.TOO_LARGE):
        encode_document(ImageIndex(manifests=(), annotations={"a": "x" * MAX_DOCUMENT_BYTES}))


def test_the_blobs_of_a_manifest_are_each_content_once() -> None:
    """Configuration first, then layers in order."""
    config = Descriptor(media_type=IMAGE_CONFIG, digest=digest_bytes(b"c"), size=1)
    one, two = (Descriptor(media_type=LAYER_TAR, digest=digest_bytes(text), size=1) for text in (b"1", b"2"))
    assert ImageManifest(config=config, layers=(one, two, one)).blobs == (config, one, two)


def test_the_kind_of_older_artifacts_is_that_of_their_configuration() -> None:
    """Without an artifact type the configuration's media type says what it is."""
    config = Descriptor(media_type="application/vnd.example.config", digest=digest_bytes(b"c"), size=1)
    assert ImageManifest(config=config, layers=()).kind == config.media_type
    assert ImageManifest(config=config, layers=(), artifact_type="application/x").kind == "application/x"
