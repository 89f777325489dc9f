# SPDX-License-Identifier: Apache-2.0
"""Manifests: one encoding, known fields only, safe paths only."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import rfc8785

from artifacts.testing import SIGNATURE, make_manifest
from furoshiki import SignatureRefused
from furoshiki.bundle import parse_manifest


def test_the_servers_manifest_is_read_whole() -> None:
    """Every field of the server's manifest is understood."""
    theirs = make_manifest(signature=SIGNATURE, metadata={"accuracy": "0.97"}, parent=f"sha256:{'ab' * 32}")
    ours = parse_manifest(theirs.to_bytes())
    assert (ours.tenant, ours.model, ours.version, ours.variant) == ("acme", "digits", 3, theirs.variant)
    assert (ours.size, ours.parent, dict(ours.metadata)) == (theirs.size, theirs.parent, {"accuracy": "0.97"})
    assert ours.signature is not None
    assert ours.signature.inputs[0].shape == (-1, 64)


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields.update(schema_version=2),
        lambda fields: fields.update(extra=1),
        lambda fields: fields.pop("metadata"),
        lambda fields: fields.update(files=[]),
        lambda fields: fields.update(version=0),
        lambda fields: fields.update(tenant="../x"),
        lambda fields: fields.update(kind="other"),
        lambda fields: fields.update(created_at="2026-01-01T00:00:00"),
        lambda fields: fields["files"][0].update(size=-1),
        lambda fields: fields["files"][0].update(digest="md5:00"),
    ],
)
def test_malformed_manifests_are_refused(change: Callable[[dict[str, Any]], object]) -> None:
    """Unknown, missing and impossible fields are refused."""
    fields = json.loads(make_manifest().to_bytes())
    change(fields)
    with pytest.raises(SignatureRefused, match="SIGN_010"):
        parse_manifest(rfc8785.dumps(fields))


@pytest.mark.parametrize("change", [lambda data: data + b" ", lambda data: data.replace(b":", b": ", 1), bytes.upper])
def test_other_encodings_are_refused(change: Callable[[bytes], bytes]) -> None:
    """The same content in another encoding would have another digest, so it is refused."""
    with pytest.raises(SignatureRefused, match="SIGN_010"):
        parse_manifest(change(make_manifest().to_bytes()))


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../x", "a/../b", "a//b", "./a", "", "a\\b", "c:x", "a\nb", "\u202ea", "MANIFEST.json", "x" * 256],
)
def test_unsafe_paths_are_refused(path: str) -> None:
    """A path that leaves the bundle, hides something or names the bundle's own files is refused."""
    fields = json.loads(make_manifest().to_bytes())
    fields["files"][0]["path"] = path
    with pytest.raises(SignatureRefused, match="SIGN_007"):
        parse_manifest(rfc8785.dumps(fields))


@pytest.mark.parametrize(("first", "second"), [("a", "A"), ("a", "a/b"), ("A/b", "a"), ("é", "É")])
def test_paths_that_collide_are_refused(first: str, second: str) -> None:
    """Two paths may not be one file, or a file and a folder, where case does not matter."""
    fields = json.loads(make_manifest().to_bytes())
    for file, path in zip(fields["files"], (first, second), strict=True):
        file["path"] = path
    with pytest.raises(SignatureRefused, match=r"SIGN_007.*collides"):
        parse_manifest(rfc8785.dumps(fields))
