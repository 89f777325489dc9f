# SPDX-License-Identifier: Apache-2.0
"""The signature file: Sigstore bundle v0.3 > DSSE envelope > in-toto Statement v1 > OMS predicate v1.0.

The envelope says which bytes were signed; nothing in it is believed before :func:`signed_resources` has checked the
signature over exactly those bytes. Sources:
https://github.com/secure-systems-lab/dsse (PAE), https://github.com/ossf/model-signing-spec (predicate).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal, TypeVar

import msgspec
import rfc8785

from furoshiki.bundle.paths import SIGNATURE_NAME
from furoshiki.bundle.policy import TrustPolicy
from furoshiki.bundle.refusals import Reason, refuse
from furoshiki.errors import SignatureRefused

T = TypeVar("T")

MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"


class _Strict(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """What is not understood is refused, not skipped."""


class _Hint(_Strict):
    hint: str


class _Material(_Strict):
    public_key: _Hint
    tlog_entries: Annotated[list[str], msgspec.Meta(max_length=0)]


class _Signature(_Strict):
    sig: str
    keyid: str


class _Envelope(_Strict):
    payload: str
    payload_type: str
    signatures: list[_Signature]


class _Bundle(_Strict):
    media_type: str
    verification_material: _Material
    dsse_envelope: _Envelope


class _Resource(_Strict):
    name: str
    digest: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    algorithm: Literal["sha256"]


class _Serialization(_Strict, rename=None):
    method: Literal["files"]
    hash_type: Literal["sha256"]
    allow_symlinks: bool
    ignore_paths: list[str]


class _Predicate(_Strict):
    resources: list[_Resource]
    serialization: _Serialization


class _Subject(_Strict):
    name: str
    digest: dict[str, str]


class _Statement(_Strict):
    kind: Literal["https://in-toto.io/Statement/v1"] = msgspec.field(name="_type")
    subject: list[_Subject]
    predicate_type: Literal["https://model_signing/signature/v1.0"]
    predicate: _Predicate


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What a trusted key signed."""

    key_id: str
    subject: str  # "tenant/model@version"
    resources: Mapping[str, str]  # digest ("sha256:<hex>") by name


def signed_resources(data: bytes, policy: TrustPolicy, *, now: datetime) -> Signed:
    """Checks the signature file against the policy and reads what was signed.

    Raises:
        SignatureRefused: ``SIGN_002``, ``SIGN_003``, ``SIGN_008`` or ``SIGN_009``.
    """
    bundle = _parse(data, _Bundle, "The signature file")
    envelope = bundle.dsse_envelope
    if bundle.media_type != MEDIA_TYPE or envelope.payload_type != PAYLOAD_TYPE or len(envelope.signatures) != 1:
        raise invalid("The signature file is not a Sigstore bundle v0.3 with one in-toto signature")
    if rfc8785.dumps(json.loads(data)) != data:
        raise invalid("The signature file is not canonical JSON (RFC 8785)")
    key = policy.signer(envelope.signatures[0].keyid, now)
    payload, signature = _base64(envelope.payload), _base64(envelope.signatures[0].sig)
    if bundle.verification_material.public_key.hint != key.hint or not key.verifies(signature, pae(payload)):
        raise invalid(f"The signature of key {key.key_id} does not match what it covers")
    return _read(_parse(payload, _Statement, "The signed statement"), key.key_id)


def pae(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding of an in-toto payload: the bytes that are signed."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def _read(statement: _Statement, key_id: str) -> Signed:
    form, resources = statement.predicate.serialization, statement.predicate.resources
    if form.allow_symlinks or form.ignore_paths != [SIGNATURE_NAME] or len(statement.subject) != 1:
        raise invalid("The statement is not over all plain files of one model")
    digests = {resource.name: f"sha256:{resource.digest}" for resource in resources}
    if len(digests) != len(resources):
        raise invalid("The statement lists a resource twice")
    root = hashlib.sha256(b"".join(bytes.fromhex(resource.digest) for resource in resources)).hexdigest()
    if statement.subject[0].digest != {"sha256": root}:
        raise invalid("The statement's subject is not the digest of its resources")
    return Signed(key_id=key_id, subject=statement.subject[0].name, resources=digests)


def _parse(data: bytes, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (ValueError, RecursionError) as error:
        raise invalid(f"{what} cannot be read ({error})") from None


def _base64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise invalid("The signature file holds something that is not base64") from None
    if base64.b64encode(data).decode() != text:  # the last character has bits that decoding drops
        raise invalid("The signature file holds base64 that is not canonical")
    return data


def invalid(sentence: str) -> SignatureRefused:
    """The refusal of a signature that does not match what it covers: ``SIGN_002``."""
    return refuse(Reason.SIGNATURE_INVALID, f"{sentence}. Do not use this bundle.")
