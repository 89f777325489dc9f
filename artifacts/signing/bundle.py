# SPDX-License-Identifier: Apache-2.0
"""``model.sig``: a Sigstore bundle v0.3 around a DSSE envelope around the statement of a manifest.

The profile is OpenSSF Model Signing v1.0, signed with a bare key: no certificate, no transparency log, exactly one signature.
The file is canonical JSON (RFC 8785) with canonical base64; one envelope has exactly one encoding, and any other is refused.
``publicKey.hint`` names the key as model-signing does, ``signatures[0].keyid`` as Furoshiki does; both only select a trusted
key, neither is believed.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
import rfc8785

from artifacts.manifest import SIGNATURE_NAME, Manifest
from artifacts.signing.interface import Signer
from artifacts.signing.public_key import PublicKey
from artifacts.signing.statement import invalid_signature, statement_of

MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
MAX_SIGNATURE_BYTES: Final = 16 * 1024 * 1024  # room for the largest manifest's resources in base64


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What a signature file claims. Nothing of it is true until a trusted key verifies it."""

    payload: bytes  # the statement
    signature: bytes
    key_id: str  # SHA-256 of the signer's SubjectPublicKeyInfo in DER
    hint: str  # SHA-256 of the same in PEM

    @property
    def message(self) -> bytes:
        """What was signed: DSSE's pre-authentication encoding of type and payload."""
        return pae(self.payload)


def pae(payload: bytes) -> bytes:
    """DSSE v1 pre-authentication encoding of an in-toto payload."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def sign_manifest(manifest: Manifest, signer: Signer) -> bytes:
    """The content of ``model.sig`` for ``manifest``."""
    return seal(statement_of(manifest), signer)


def seal(payload: bytes, signer: Signer) -> bytes:
    """A signature file around any in-toto statement. May ask another machine, so this blocks."""
    key = PublicKey.from_pem(signer.public_key)
    return encode_envelope(
        Envelope(payload=payload, signature=signer.sign(pae(payload)), key_id=key.key_id, hint=key.hint)
    )


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Unknown fields are an error: a certificate or a log entry nobody checks would be a promise nobody keeps."""


class _PublicKeyJson(_Strict, frozen=True, kw_only=True):
    hint: str


class _MaterialJson(_Strict, frozen=True, kw_only=True):
    public_key: _PublicKeyJson
    tlog_entries: Annotated[tuple[str, ...], msgspec.Meta(max_length=0)]


class _SignatureJson(_Strict, frozen=True, kw_only=True):
    sig: str
    keyid: str


class _EnvelopeJson(_Strict, frozen=True, kw_only=True):
    payload: str
    payload_type: str
    signatures: tuple[_SignatureJson, ...]


class _BundleJson(_Strict, frozen=True, kw_only=True):
    media_type: str
    verification_material: _MaterialJson
    dsse_envelope: _EnvelopeJson


_DECODER: Final = msgspec.json.Decoder(_BundleJson)


def encode_envelope(envelope: Envelope) -> bytes:
    """The one encoding of ``envelope``."""
    return rfc8785.dumps(
        {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": envelope.hint}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": base64.b64encode(envelope.payload).decode(),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": base64.b64encode(envelope.signature).decode(), "keyid": envelope.key_id}],
            },
        }
    )


def decode_envelope(data: bytes, *, name: str = SIGNATURE_NAME) -> Envelope:
    """Reads a signature file without verifying anything.

    Args:
        data: Its bytes.
        name: What messages call it.

    Raises:
        SignatureError: ``SIGN_002``, naming the field that is malformed or of another type.
    """
    if len(data) > MAX_SIGNATURE_BYTES:
        raise invalid_signature(name, f"{len(data)} bytes", f"at most {MAX_SIGNATURE_BYTES} bytes")
    try:
        bundle = _DECODER.decode(data)
    except (ValueError, RecursionError) as error:
        raise invalid_signature(name, f"malformed ({error})", "a Sigstore bundle v0.3 with one key") from None
    body = bundle.dsse_envelope
    if bundle.media_type != MEDIA_TYPE:
        raise invalid_signature("mediaType", bundle.media_type, MEDIA_TYPE)
    if body.payload_type != PAYLOAD_TYPE:
        raise invalid_signature("dsseEnvelope.payloadType", body.payload_type, PAYLOAD_TYPE)
    if len(body.signatures) != 1:
        raise invalid_signature("dsseEnvelope.signatures", f"a list of {len(body.signatures)}", "exactly one signature")
    envelope = Envelope(
        payload=_unbase64("dsseEnvelope.payload", body.payload),
        signature=_unbase64("dsseEnvelope.signatures[0].sig", body.signatures[0].sig),
        key_id=body.signatures[0].keyid,
        hint=bundle.verification_material.public_key.hint,
    )
    if encode_envelope(envelope) != data:
        raise invalid_signature(name, "another encoding of the same content", "canonical JSON (RFC 8785)")
    return envelope


def _unbase64(field: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise invalid_signature(field, "malformed", "base64") from None
