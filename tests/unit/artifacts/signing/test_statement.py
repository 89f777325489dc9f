# SPDX-License-Identifier: Apache-2.0
"""The in-toto statement: OpenSSF Model Signing's predicate over the manifest and its files."""

from __future__ import annotations

import hashlib
import json

from artifacts.digest import digest_bytes, hex_of
from artifacts.signing.statement import check_covers, check_statement, statement_of
from artifacts.testing import make_manifest, refused
from core.errors import ErrorCode


def test_statement_lists_manifest_and_files_in_order() -> None:
    """Resources are the manifest and every file, in the order of path segments, each with its SHA-256."""
    files = {"z": b"1", "a-b": b"2", "a/b": b"3"}
    manifest = make_manifest(files)
    document = json.loads(statement_of(manifest))
    resources = document["predicate"]["resources"]
    assert [resource["name"] for resource in resources] == ["a/b", "a-b", "manifest.json", "z"]
    assert {resource["algorithm"] for resource in resources} == {"sha256"}
    assert resources[2]["digest"] == hex_of(manifest.digest)
    assert resources[3]["digest"] == hashlib.sha256(b"1").hexdigest()


def test_statement_types_are_fixed() -> None:
    """Types and serialization are those of OpenSSF Model Signing v1.0; model.sig itself is not covered."""
    document = json.loads(statement_of(make_manifest()))
    assert document["_type"] == "https://in-toto.io/Statement/v1"
    assert document["predicateType"] == "https://model_signing/signature/v1.0"
    assert document["predicate"]["serialization"] == {
        "method": "files",
        "hash_type": "sha256",
        "allow_symlinks": False,
        "ignore_paths": ["model.sig"],
    }


def test_subject_digest_is_over_the_raw_digests() -> None:
    """The subject's digest is the SHA-256 of all raw digests in the order of the resources."""
    document = json.loads(statement_of(make_manifest()))
    raw = b"".join(bytes.fromhex(resource["digest"]) for resource in document["predicate"]["resources"])
    assert document["subject"] == [{"name": "acme/digits@3", "digest": {"sha256": hashlib.sha256(raw).hexdigest()}}]


def test_own_statement_is_accepted() -> None:
    """A manifest's own statement covers it and equals it."""
    manifest = make_manifest()
    check_covers(statement_of(manifest), manifest.to_bytes())
    check_statement(statement_of(manifest), manifest)


def test_other_manifest_is_not_covered() -> None:
    """A statement does not cover the bytes of another manifest."""
    with refused(ErrorCode.SIGNATURE_INVALID, "manifest.json"):
        check_covers(statement_of(make_manifest()), make_manifest(version=4).to_bytes())


def test_manifest_listed_twice_covers_nothing() -> None:
    """A statement that names manifest.json twice leaves no doubt open: it is refused."""
    manifest = make_manifest()
    document = json.loads(statement_of(manifest))
    resources = document["predicate"]["resources"]
    resources += [resource for resource in resources if resource["name"] == "manifest.json"]
    with refused(ErrorCode.SIGNATURE_INVALID, "manifest.json"):
        check_covers(json.dumps(document).encode(), manifest.to_bytes())


def changed(field: str, value: object) -> bytes:
    document = json.loads(statement_of(make_manifest()))
    target = document["predicate"] if field in document["predicate"] else document
    target[field] = value
    return json.dumps(document).encode()


def test_wrong_statement_type_is_named() -> None:
    """Another statement type is refused by name."""
    with refused(ErrorCode.SIGNATURE_INVALID, "_type", "v0.1"):
        check_covers(changed("_type", "https://in-toto.io/Statement/v0.1"), b"")


def test_wrong_predicate_is_named() -> None:
    """Another predicate is refused by name, whatever its body looks like."""
    with refused(ErrorCode.SIGNATURE_INVALID, "predicateType", "slsa"):
        check_covers(changed("predicateType", "https://slsa.dev/provenance/v1"), b"")


def test_unknown_field_is_refused() -> None:
    """A field this profile does not know is refused."""
    with refused(ErrorCode.SIGNATURE_INVALID, "extra"):
        check_covers(changed("extra", 1), b"")


def test_differing_parts_are_named() -> None:
    """A validly signed statement that is not the manifest's own is refused, naming the part."""
    manifest = make_manifest()
    listed = [{"name": "manifest.json", "algorithm": "sha256", "digest": hex_of(digest_bytes(manifest.to_bytes()))}]
    with refused(ErrorCode.SIGNATURE_INVALID, "predicate.resources"):
        check_statement(changed("resources", listed), manifest)
    with refused(ErrorCode.SIGNATURE_INVALID, "subject"):
        check_statement(changed("subject", []), manifest)
    serialization = {"method": "files", "hash_type": "sha256", "allow_symlinks": True, "ignore_paths": ["model.sig"]}
    with refused(ErrorCode.SIGNATURE_INVALID, "predicate.serialization"):
        check_statement(changed("serialization", serialization), manifest)
    with refused(ErrorCode.SIGNATURE_INVALID, "payload"):
        check_statement(statement_of(manifest) + b" ", manifest)
