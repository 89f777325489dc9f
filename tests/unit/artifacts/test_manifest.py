# SPDX-License-Identifier: Apache-2.0
"""The manifest: one encoding per content, and every rule of its fields."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from artifacts import manifest_rules
from artifacts.digest import digest_bytes
from artifacts.manifest import FileEntry, Manifest
from artifacts.testing import CREATED, FILES, SIGNATURE, make_manifest, refused
from core.errors import ErrorCode
from core.refs import ModelRef
from core.tensors import DType, Signature, TensorSpec


def edited(edit: Callable[[dict[str, Any]], object]) -> bytes:
    """The bytes of a valid manifest after a change that keeps them canonical for ASCII."""
    document = json.loads(make_manifest().to_bytes())
    edit(document)
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def test_round_trip() -> None:
    """A manifest reads back equal, and its digest is that of its bytes."""
    manifest = make_manifest(parent=digest_bytes(b"p"), expires_at=CREATED + timedelta(days=1))
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest
    assert manifest.digest == digest_bytes(manifest.to_bytes())


def test_derived_values() -> None:
    """Reference and size come from the fields."""
    manifest = make_manifest()
    assert manifest.ref == ModelRef(tenant="acme", model="digits", version=3)
    assert manifest.size == sum(map(len, FILES.values()))


def test_files_are_put_in_order_of_segments() -> None:
    """The order is by path segment, not by character: 'a/b' comes before 'a-b'."""
    manifest = make_manifest({"a-b": b"", "b": b"", "a/b": b""})
    assert [entry.path for entry in manifest.files] == ["a/b", "a-b", "b"]


def test_times_become_utc_milliseconds() -> None:
    """Any offset and precision ends as UTC with milliseconds, so that the value round-trips."""
    local = datetime(2026, 1, 1, 2, 0, 0, 123_987, tzinfo=timezone(timedelta(hours=2)))
    manifest = make_manifest(created_at=local)
    assert b'"created_at":"2026-01-01T00:00:00.123Z"' in manifest.to_bytes()
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest


def test_metadata_cannot_be_changed() -> None:
    """The metadata of a manifest is read-only and independent of the mapping it was made from."""
    given = {"a": "1"}
    manifest = make_manifest(metadata=given)
    given["a"] = "2"
    assert manifest.metadata["a"] == "1"
    with pytest.raises(TypeError):
        manifest.metadata["a"] = "3"  # type: ignore[index]


BAD_FIELDS: list[tuple[str, dict[str, Any]]] = [
    ("tenant", {"tenant": "Acme"}),
    ("model", {"model": "../x"}),
    ("version", {"version": 0}),
    ("version", {"version": 10**10}),
    ("variant", {"variant": "onnx-fp32"}),
    ("format", {"format": "ONNX"}),
    ("files", {"files": ()}),
    ("parent", {"parent": "sha256:1"}),
    ("producer", {"producer": ""}),
    ("producer", {"producer": "x" * 256}),
    ("created_at", {"created_at": CREATED.replace(tzinfo=None)}),
    ("expires_at", {"expires_at": CREATED.replace(tzinfo=None)}),
    ("signature", {"kind": "bento"}),
    ("metadata", {"metadata": {str(i): "" for i in range(257)}}),
    ("metadata key", {"metadata": {"": "x"}}),
    ("metadata 'k'", {"metadata": {"k": "x" * 4097}}),
    ("metadata 'k'", {"metadata": {"k": "\ud800"}}),
]


@pytest.mark.parametrize(("field", "values"), BAD_FIELDS, ids=[f"{name}-{i}" for i, (name, _) in enumerate(BAD_FIELDS)])
def test_bad_field_is_named(field: str, values: dict[str, Any]) -> None:
    """A field outside its rules is refused and named."""
    with refused(ErrorCode.MANIFEST_INVALID, field):
        make_manifest(**values)


def spec(name: str = "X", shape: tuple[int, ...] = (-1,)) -> TensorSpec:
    return TensorSpec(name=name, dtype=DType.FP32, shape=shape)


@pytest.mark.parametrize(
    ("field", "specs"),
    [
        ("inputs", (spec(), spec())),
        ("a name in inputs", (spec(name=""),)),
        ("shape of 'X'", (spec(shape=(-2,)),)),
        ("shape of 'X'", (spec(shape=(1,) * 33),)),
        ("inputs", tuple(spec(name=str(i)) for i in range(1025))),
    ],
    ids=["twice", "nameless", "negative", "rank", "many"],
)
def test_bad_tensor_is_named(field: str, specs: tuple[TensorSpec, ...]) -> None:
    """A tensor outside the rules is refused and named."""
    with refused(ErrorCode.MANIFEST_INVALID, field):
        make_manifest(signature=Signature(inputs=specs, outputs=SIGNATURE.outputs))


@pytest.mark.parametrize("size", [-1, 2**53])
def test_file_size_is_bounded(size: int) -> None:
    """A file's size is neither negative nor beyond what JSON keeps exactly."""
    with refused(ErrorCode.MANIFEST_INVALID, "size of 'x'"):
        FileEntry(path="x", size=size, digest=digest_bytes(b""))


def test_file_digest_is_checked() -> None:
    """A file's digest must be one."""
    with refused(ErrorCode.MANIFEST_INVALID, "digest of 'x'"):
        FileEntry(path="x", size=0, digest="md5:0")


def test_case_twins_are_refused() -> None:
    """Two files that differ only by case are refused by name."""
    with refused(ErrorCode.PATH_UNSAFE, "'A'"):
        make_manifest({"a": b"", "A": b""})


MALFORMED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "truncated"),
    "not-json": (b"{", "truncated"),
    "not-utf8": (b'{"kind":"\xff"}', "manifest.json"),
    "array": (b"[]", "object"),
    "schema-version": (edited(lambda d: d.update(schema_version=2)), "schema_version"),
    "unknown-field": (edited(lambda d: d.update(extra=1)), "extra"),
    "unknown-file-field": (edited(lambda d: d["files"][0].update(mode=1)), "mode"),
    "missing-field": (edited(lambda d: d.pop("parent")), "parent"),
    "kind": (edited(lambda d: d.update(kind="image")), "kind"),
    "float-size": (edited(lambda d: d["files"][0].update(size=1.5)), "size"),
    "bool-version": (edited(lambda d: d.update(version=True)), "version"),
    "naive-time": (edited(lambda d: d.update(created_at="2026-01-01T00:00:00")), "created_at"),
    "datatype": (edited(lambda d: d["signature"]["inputs"][0].update(datatype="FP8")), "FP8"),
    "deep": (b"[" * 100_000, "manifest.json"),
}


@pytest.mark.parametrize(("data", "named"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_bytes_are_refused(data: bytes, named: str) -> None:
    """Bytes that are no manifest are refused, naming what is wrong."""
    with refused(ErrorCode.MANIFEST_INVALID, named):
        Manifest.from_bytes(data)


NOT_CANONICAL: dict[str, bytes] = {
    "space": make_manifest().to_bytes() + b" ",
    "newline": make_manifest().to_bytes() + b"\n",
    "escape": make_manifest().to_bytes().replace(b'"acme"', b'"\\u0061cme"'),
    "file-order": edited(lambda d: d["files"].reverse()),
    "offset": edited(lambda d: d.update(created_at="2026-01-01T01:00:00.000+01:00")),
    "microseconds": edited(lambda d: d.update(created_at="2026-01-01T00:00:00.000001Z")),
    "field-order": json.dumps(
        dict(reversed(json.loads(make_manifest().to_bytes()).items())), separators=(",", ":")
    ).encode(),
    "twice": make_manifest().to_bytes().replace(b'"kind":"model"', b'"kind":"model","kind":"model"'),
    "big-number": make_manifest().to_bytes().replace(b'"version":3', b'"version":3e0'),
}


@pytest.mark.parametrize("data", NOT_CANONICAL.values(), ids=NOT_CANONICAL)
def test_other_encodings_are_refused(data: bytes) -> None:
    """The same content in any other spelling is refused: equal content has one digest."""
    assert data != make_manifest().to_bytes()
    with refused(ErrorCode.MANIFEST_INVALID):
        Manifest.from_bytes(data)


def test_unsafe_path_inside_is_refused() -> None:
    """A path that leaves the bundle is refused by its own code."""
    with refused(ErrorCode.PATH_UNSAFE, "'../x'"):
        Manifest.from_bytes(edited(lambda d: d["files"][0].update(path="../x")))


def test_too_many_bytes_are_refused_unread() -> None:
    """More bytes than the limit are refused before they are parsed."""
    with refused(ErrorCode.MANIFEST_INVALID, str(manifest_rules.MAX_MANIFEST_BYTES)):
        Manifest.from_bytes(b"x" * (manifest_rules.MAX_MANIFEST_BYTES + 1))


def test_too_many_files_are_refused() -> None:
    """More files than the limit are refused."""
    entry = FileEntry(path="x", size=0, digest=digest_bytes(b""))
    with refused(ErrorCode.MANIFEST_INVALID, "files"):
        make_manifest(files=(entry,) * (manifest_rules.MAX_FILES + 1))
