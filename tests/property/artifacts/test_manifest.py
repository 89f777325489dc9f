# SPDX-License-Identifier: Apache-2.0
"""Law: ``Manifest.from_bytes(manifest.to_bytes()) == manifest``, and one manifest has exactly one encoding."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
import rfc8785
from hypothesis import assume, given
from hypothesis import strategies as st

from artifacts.digest import PREFIX
from artifacts.manifest import FileEntry, Manifest
from artifacts.paths import check_path
from artifacts.testing import make_manifest
from core.errors import SignatureError
from core.tensors import DType, Signature, TensorSpec

digests = st.binary(min_size=32, max_size=32).map(lambda raw: PREFIX + raw.hex())
names = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
labels = texts.filter(bool)
times = st.datetimes(datetime(1970, 1, 1), datetime(9998, 12, 31), timezones=st.timezones())  # noqa: DTZ001
sizes = st.integers(0, 2**53 - 1)


def is_safe(path: str) -> bool:
    try:
        check_path(path)
    except SignatureError:
        return False
    return True


segments = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters='\\/:*?"<>|.'), min_size=1, max_size=12
)
paths = st.lists(segments, min_size=1, max_size=4).map("/".join).filter(is_safe)
specs = st.builds(
    TensorSpec,
    name=labels,
    dtype=st.sampled_from(DType),
    shape=st.lists(st.integers(-1, 2**53 - 1), max_size=5).map(tuple),
)
spec_lists = st.lists(specs, max_size=3, unique_by=lambda spec: spec.name).map(tuple)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    files = draw(st.lists(st.builds(FileEntry, path=paths, size=sizes, digest=digests), min_size=1, max_size=6))
    kind = draw(st.sampled_from(["model", "bento"]))
    signature = (
        st.none() if kind == "bento" else st.none() | st.builds(Signature, inputs=spec_lists, outputs=spec_lists)
    )
    fields: dict[str, Any] = {
        "kind": kind,
        "tenant": draw(names),
        "model": draw(names),
        "version": draw(st.integers(1, 9_999_999_999)),
        "files": tuple(files),
        "signature": draw(signature),
        "parent": draw(st.none() | digests),
        "producer": draw(labels),
        "created_at": draw(times),
        "expires_at": draw(st.none() | times),
        "metadata": draw(st.dictionaries(labels, texts, max_size=4)),
    }
    try:
        return make_manifest(**fields)
    except SignatureError as error:
        assume("SIGN_007" not in str(error))  # twins among the drawn paths
        raise


@given(manifests())
def test_round_trip(manifest: Manifest) -> None:
    """Manifest.from_bytes(manifest.to_bytes()) == manifest."""
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest


@given(manifests())
def test_encoding_is_canonical_json(manifest: Manifest) -> None:
    """The bytes are what RFC 8785 makes of the same JSON value."""
    data = manifest.to_bytes()
    assert rfc8785.dumps(json.loads(data)) == data


@given(manifests(), st.randoms())
def test_order_of_files_does_not_matter(manifest: Manifest, random: Any) -> None:
    """The same files in any order give the same digest."""
    shuffled = list(manifest.files)
    random.shuffle(shuffled)
    fields = {name: getattr(manifest, name) for name in Manifest.__dataclass_fields__}
    assert Manifest(**(fields | {"files": tuple(shuffled)})).digest == manifest.digest


@given(manifests(), st.data())
def test_other_bytes_are_another_manifest_or_none(manifest: Manifest, data: st.DataObject) -> None:
    """Changing a byte never gives the same manifest again: one manifest, one encoding."""
    encoded = bytearray(manifest.to_bytes())
    position = data.draw(st.integers(0, len(encoded) - 1))
    encoded[position] ^= data.draw(st.integers(1, 255))
    try:
        other = Manifest.from_bytes(bytes(encoded))
    except SignatureError:
        return
    assert other != manifest


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_garbage_raises_nothing_else(data: bytes) -> None:
    """Bytes from outside give a SignatureError, never another exception."""
    with pytest.raises(SignatureError):
        Manifest.from_bytes(data)


scalars = st.none() | st.booleans() | st.floats(allow_nan=False) | texts


@given(st.recursive(scalars, lambda inner: st.lists(inner, max_size=3)))
def test_any_json_in_any_field_raises_nothing_else(value: Any) -> None:
    """A field of any JSON type, loosely encoded, gives a SignatureError and never another exception."""
    document = json.loads(make_manifest().to_bytes())
    for field in document:
        with pytest.raises(SignatureError):
            Manifest.from_bytes(json.dumps(document | {field: value}).encode())
