# SPDX-License-Identifier: Apache-2.0
"""The in-toto Statement v1 that is signed for a manifest, with OpenSSF Model Signing's predicate v1.0.

It lists ``manifest.json`` and every file of the bundle in the order of their path segments, as model-signing 1.1.1 does;
its subject's digest is the SHA-256 over the raw digests in that order. One manifest has exactly one statement (canonical
JSON): a verifier builds the statement it expects and compares bytes, so nothing in one can be understood in two ways.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec
import rfc8785

from artifacts.digest import PREFIX, digest_bytes, hex_of
from artifacts.manifest import MANIFEST_NAME, SIGNATURE_NAME, Manifest
from artifacts.paths import path_parts
from core.errors import ErrorCode, SignatureError

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://model_signing/signature/v1.0"


class _Header(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What decides how the rest is read; other fields are left for the strict reading that follows."""

    type_: str = msgspec.field(name="_type")
    predicate_type: str


class _Resource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    algorithm: str
    digest: str


class _Serialization(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    method: str
    hash_type: str
    allow_symlinks: bool
    ignore_paths: tuple[str, ...]


class _Predicate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    resources: tuple[_Resource, ...]
    serialization: _Serialization


class _Subject(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    digest: dict[str, str]


class _Statement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    type_: str = msgspec.field(name="_type")
    subject: tuple[_Subject, ...]
    predicate_type: str
    predicate: _Predicate


_HEADER: Final = msgspec.json.Decoder(_Header)
_STATEMENT: Final = msgspec.json.Decoder(_Statement)
_SERIALIZATION: Final = _Serialization(
    method="files", hash_type="sha256", allow_symlinks=False, ignore_paths=(SIGNATURE_NAME,)
)


def statement_of(manifest: Manifest) -> bytes:
    """The statement a signer of ``manifest`` signs."""
    return rfc8785.dumps(msgspec.to_builtins(_build(manifest)))


def check_covers(payload: bytes, manifest_bytes: bytes) -> None:
    """Checks that a signed ``payload`` is a statement about these bytes of a manifest, before anybody parses them.

    Raises:
        SignatureError: ``SIGN_002``, naming the field that is wrong.
    """
    statement = _read(payload)
    listed = [resource for resource in statement.predicate.resources if resource.name == MANIFEST_NAME]
    if [PREFIX + resource.digest for resource in listed] != [digest_bytes(manifest_bytes)]:
        raise invalid_signature(MANIFEST_NAME, "another manifest than the signed one", "the signed bytes")


def check_statement(payload: bytes, manifest: Manifest) -> None:
    """Checks that a signed ``payload`` is the one statement of ``manifest``.

    Raises:
        SignatureError: ``SIGN_002``, naming the field that differs.
    """
    if payload == statement_of(manifest):
        return
    found, expected = _read(payload), _build(manifest)
    pairs = {
        "subject": (found.subject, expected.subject),
        "predicate.resources": (found.predicate.resources, expected.predicate.resources),
        "predicate.serialization": (found.predicate.serialization, expected.predicate.serialization),
    }
    field = next((name for name, (got, wanted) in pairs.items() if got != wanted), "payload")
    raise invalid_signature(
        field, "not what the manifest gives", "the one statement of this manifest in canonical JSON"
    )


def invalid_signature(field: str, got: object, expected: object) -> SignatureError:
    """The error for a signature that does not match what it should cover: ``SIGN_002``."""
    return SignatureError(
        ErrorCode.SIGNATURE_INVALID,
        f"The signature is not valid: {field} is {str(got)[:200]}; expected {expected}. Do not use the bundle.",
        details={"field": field},
    )


def _read(payload: bytes) -> _Statement:
    try:
        header = _HEADER.decode(payload)
        if header.type_ != STATEMENT_TYPE:
            raise invalid_signature("_type", header.type_, STATEMENT_TYPE)
        if header.predicate_type != PREDICATE_TYPE:
            raise invalid_signature("predicateType", header.predicate_type, PREDICATE_TYPE)
        return _STATEMENT.decode(payload)
    except (ValueError, RecursionError) as error:
        raise invalid_signature("payload", str(error), "an in-toto Statement v1") from None


def _build(manifest: Manifest) -> _Statement:
    digests = {MANIFEST_NAME: manifest.digest} | {entry.path: entry.digest for entry in manifest.files}
    resources = tuple(
        _Resource(name=name, algorithm="sha256", digest=hex_of(digests[name]))
        for name in sorted(digests, key=path_parts)
    )
    root = hashlib.sha256(b"".join(bytes.fromhex(resource.digest) for resource in resources)).hexdigest()
    return _Statement(
        type_=STATEMENT_TYPE,
        subject=(_Subject(name=str(manifest.ref), digest={"sha256": root}),),
        predicate_type=PREDICATE_TYPE,
        predicate=_Predicate(resources=resources, serialization=_SERIALIZATION),
    )
