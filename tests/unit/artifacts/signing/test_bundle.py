# SPDX-License-Identifier: Apache-2.0
"""model.sig: the exact shape that is written, and every other shape refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from artifacts.manifest import SIGNATURE_NAME
from artifacts.signing.bundle import MAX_SIGNATURE_BYTES, decode_envelope, encode_envelope, pae, sign_manifest
from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.signing.public_key import PublicKey
from artifacts.signing.statement import statement_of
from artifacts.testing import make_bundle, make_manifest, refused
from core.errors import ErrorCode


def test_pae_is_that_of_dsse() -> None:
    """The pre-authentication encoding has the form of the DSSE protocol, lengths in bytes."""
    assert pae(b"hello world") == b"DSSEv1 28 application/vnd.in-toto+json 11 hello world"
    assert pae("é".encode()) == b"DSSEv1 28 application/vnd.in-toto+json 2 \xc3\xa9"


def test_signature_file_has_the_documented_shape() -> None:
    """The file is a Sigstore bundle v0.3 with one key, one envelope and one signature over the statement."""
    signer, manifest = Ed25519Signer.generate(), make_manifest()
    document = json.loads(sign_manifest(manifest, signer))
    statement = statement_of(manifest)
    key = PublicKey.from_pem(signer.public_key)
    assert document == {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": key.hint}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(statement).decode(),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"sig": base64.b64encode(signer.sign(pae(statement))).decode(), "keyid": signer.key_id}],
        },
    }


def test_round_trip() -> None:
    """An envelope decodes to what was encoded, and encodes to the same bytes."""
    data = make_bundle().files[SIGNATURE_NAME]
    assert encode_envelope(decode_envelope(data)) == data


def set_at(*path: str | int, value: object) -> Callable[[dict[str, Any]], None]:
    def edit(document: Any) -> None:
        for step in path[:-1]:
            document = document[step]
        document[path[-1]] = value

    return edit


def two_signatures(document: dict[str, Any]) -> None:
    document["dsseEnvelope"]["signatures"] *= 2


CERTIFICATE = {"certificate": {"rawBytes": "AA=="}, "tlogEntries": []}
BROKEN: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "media type": (set_at("mediaType", value="application/vnd.dev.sigstore.bundle+json;version=0.1"), "mediaType"),
    "payload type": (set_at("dsseEnvelope", "payloadType", value="text/plain"), "payloadType"),
    "no signature": (set_at("dsseEnvelope", "signatures", value=[]), "dsseEnvelope.signatures"),
    "several signatures": (two_signatures, "a list of 2"),
    "certificate": (set_at("verificationMaterial", value=CERTIFICATE), "certificate"),
    "log entry": (set_at("verificationMaterial", "tlogEntries", value=["x"]), "tlogEntries"),
    "unknown field": (set_at("dsseEnvelope", "extra", value=1), "extra"),
    "keyid null": (set_at("dsseEnvelope", "signatures", 0, "keyid", value=None), "keyid"),
    "payload no base64": (set_at("dsseEnvelope", "payload", value="*"), "dsseEnvelope.payload"),
    "sig no base64": (set_at("dsseEnvelope", "signatures", 0, "sig", value="A"), "signatures[0].sig"),
    "loose base64": (set_at("dsseEnvelope", "payload", value="QR=="), "canonical"),
}


@pytest.mark.parametrize(("edit", "named"), BROKEN.values(), ids=BROKEN)
def test_other_shapes_are_refused(edit: Callable[[dict[str, Any]], None], named: str) -> None:
    """Any other profile, field or encoding is refused, naming the field."""
    bundle = make_bundle()
    bundle.edit_signature(edit)
    with refused(ErrorCode.SIGNATURE_INVALID, named):
        decode_envelope(bundle.files[SIGNATURE_NAME])


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[" * 100_000, b"\xff", b"x" * (MAX_SIGNATURE_BYTES + 1)],
    ids=["empty", "object", "deep", "binary", "huge"],
)
def test_garbage_is_refused(data: bytes) -> None:
    """Bytes that are no bundle are refused."""
    with refused(ErrorCode.SIGNATURE_INVALID, SIGNATURE_NAME):
        decode_envelope(data)


def test_whitespace_is_refused() -> None:
    """The same JSON in another layout is refused: one envelope, one encoding."""
    data = make_bundle().files[SIGNATURE_NAME]
    with refused(ErrorCode.SIGNATURE_INVALID, "canonical"):
        decode_envelope(json.dumps(json.loads(data)).encode())
