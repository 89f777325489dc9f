# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: the tenant's key vouches for a chain up to an entry, and so for everything before it.

A checkpoint is a Sigstore bundle v0.3 with a bare key, as ``model.sig`` is (:mod:`artifacts.signing.bundle`), around an
in-toto Statement v1 whose subject ``<tenant>/history@<seq>`` has the digest that is the entry's hash. Whoever can write to
the database can make a chain whose hashes fit; without the key nobody can make its checkpoints.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
import rfc8785

from artifacts.digest import Digest, hex_of
from artifacts.signing.bundle import Envelope, decode_envelope, encode_envelope, pae
from artifacts.signing.interface import Signer
from artifacts.signing.policy import TrustPolicy
from artifacts.signing.public_key import PublicKey
from artifacts.signing.statement import STATEMENT_TYPE
from core.errors import SignatureError

PREDICATE_TYPE: Final = "https://furoshiki.dev/audit-checkpoint/v1"
NAME: Final = "checkpoint"


def sign_checkpoint(tenant: str, seq: int, digest: Digest, signer: Signer) -> bytes:
    """The tenant's signature that its history has an entry ``seq`` with that hash."""
    payload = _payload(tenant, seq, digest)
    key = PublicKey.from_pem(signer.public_key)
    return encode_envelope(
        Envelope(payload=payload, signature=signer.sign(pae(payload)), key_id=key.key_id, hint=key.hint)
    )


def checkpoint_fault(document: bytes, policy: TrustPolicy, seq: int, digest: Digest) -> str | None:
    """Why a checkpoint does not vouch for an entry of that hash; None if it does.

    A key counts whatever its validity is now: the checkpoint was made then. A revoked one does not.
    """
    try:
        envelope = decode_envelope(document, name=NAME)
    except SignatureError as error:
        return error.message
    key = next((key for key in policy.keys if key.key_id == envelope.key_id), None)
    if key is None or envelope.key_id in policy.revoked_keys:
        return f"its key {envelope.key_id[:64]} is {'revoked' if key is not None else 'not trusted'}"
    if not PublicKey.from_pem(key.public_key).verifies(envelope.signature, envelope.message):
        return "its signature does not match what it covers"
    if envelope.payload != _payload(policy.tenant, seq, digest):
        return f"it vouches for {_claim(envelope.payload)}"
    return None


class _Subject(msgspec.Struct):
    name: str
    digest: dict[str, str]


class _Statement(msgspec.Struct):
    subject: Annotated[tuple[_Subject, ...], msgspec.Meta(min_length=1)]


def _claim(payload: bytes) -> str:
    try:
        subject = msgspec.json.decode(payload, type=_Statement).subject[0]
    except ValueError:
        return "something else"
    return f"{subject.name[:100]} with hash sha256:{subject.digest.get('sha256', '')[:64]}"


def _payload(tenant: str, seq: int, digest: Digest) -> bytes:
    return rfc8785.dumps(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": f"{tenant}/history@{seq}", "digest": {"sha256": hex_of(digest)}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {"seq": seq},
        }
    )
