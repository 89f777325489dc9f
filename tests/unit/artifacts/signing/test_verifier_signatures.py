# SPDX-License-Identifier: Apache-2.0
"""The verifier on who signed what: each wrong signature, statement, key, time or subject has its own code."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
import rfc8785

from artifacts.digest import digest_bytes
from artifacts.manifest import MANIFEST_NAME, SIGNATURE_NAME
from artifacts.signing.bundle import Envelope, encode_envelope, pae
from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.signing.policy import Subject, TrustPolicy
from artifacts.signing.public_key import PublicKey
from artifacts.signing.statement import statement_of
from artifacts.signing.verifier import BundleVerifier
from artifacts.source import MemorySource
from artifacts.testing import CREATED, FILES, Bundle, make_bundle, refused
from core.errors import ErrorCode


def resigned(bundle: Bundle, payload: bytes) -> None:
    """Puts a signature of the trusted key over any payload into the bundle."""
    key = PublicKey.from_pem(bundle.signer.public_key)
    envelope = Envelope(payload=payload, signature=bundle.signer.sign(pae(payload)), key_id=key.key_id, hint=key.hint)
    bundle.files[SIGNATURE_NAME] = encode_envelope(envelope)


def test_missing_signature() -> None:
    """SIGN_001: a bundle without model.sig."""
    bundle = make_bundle()
    del bundle.files[SIGNATURE_NAME]
    with refused(ErrorCode.SIGNATURE_MISSING, SIGNATURE_NAME):
        bundle.verify()


def test_forged_signature() -> None:
    """SIGN_002: a signature the named key did not make."""
    bundle = make_bundle()
    bundle.signer, own = Ed25519Signer.generate(), bundle.signer
    forged = bundle.signer.sign(pae(statement_of(bundle.manifest)))
    key = PublicKey.from_pem(own.public_key)
    payload = statement_of(bundle.manifest)
    bundle.files[SIGNATURE_NAME] = encode_envelope(
        Envelope(payload=payload, signature=forged, key_id=key.key_id, hint=key.hint)
    )
    with refused(ErrorCode.SIGNATURE_INVALID, "signatures[0].sig"):
        bundle.verify()


def test_foreign_hint() -> None:
    """SIGN_002: the bundle's two names of its key disagree."""
    bundle = make_bundle()
    bundle.edit_signature(lambda d: d["verificationMaterial"]["publicKey"].update(hint="0" * 64))
    with refused(ErrorCode.SIGNATURE_INVALID, "publicKey.hint"):
        bundle.verify()


def test_wrong_payload_type() -> None:
    """SIGN_002: an envelope around something that is no in-toto statement."""
    bundle = make_bundle()
    bundle.edit_signature(lambda d: d["dsseEnvelope"].update(payloadType="application/json"))
    with refused(ErrorCode.SIGNATURE_INVALID, "payloadType"):
        bundle.verify()


def test_several_signatures() -> None:
    """SIGN_002: more than one signature, even if each were valid."""
    bundle = make_bundle()
    bundle.edit_signature(lambda d: d["dsseEnvelope"].update(signatures=d["dsseEnvelope"]["signatures"] * 2))
    with refused(ErrorCode.SIGNATURE_INVALID, "signatures", "exactly one"):
        bundle.verify()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("predicateType", "https://slsa.dev/provenance/v1"),
        ("_type", "https://in-toto.io/Statement/v0.1"),
        ("subject", []),
    ],
)
def test_signed_but_another_statement(field: str, value: object) -> None:
    """SIGN_002: a trusted key signed something that is no statement about this bundle."""
    bundle = make_bundle()
    document = json.loads(statement_of(bundle.manifest))
    resigned(bundle, rfc8785.dumps(document | {field: value}))
    with refused(ErrorCode.SIGNATURE_INVALID, field):
        bundle.verify()


def test_signed_with_fewer_files() -> None:
    """SIGN_002: a trusted key signed a statement that leaves out a file of the manifest."""
    bundle = make_bundle()
    document = json.loads(statement_of(bundle.manifest))
    del document["predicate"]["resources"][0]
    resigned(bundle, rfc8785.dumps(document))
    with refused(ErrorCode.SIGNATURE_INVALID, "predicate.resources"):
        bundle.verify()


def test_other_manifest() -> None:
    """SIGN_002: a manifest that the signature does not cover, however well formed."""
    bundle = make_bundle()
    bundle.files[MANIFEST_NAME] = make_bundle(version=4).files[MANIFEST_NAME]
    with refused(ErrorCode.SIGNATURE_INVALID, MANIFEST_NAME):
        bundle.verify()


def test_untrusted_key() -> None:
    """SIGN_003: a valid signature of a key the tenant does not trust."""
    bundle = make_bundle()
    bundle.policy = make_bundle().policy
    with refused(ErrorCode.SIGNER_UNTRUSTED, bundle.signer.key_id, "'acme'"):
        bundle.verify()


def test_expired_key() -> None:
    """SIGN_008: the key's validity ended, even if the bundle was made before."""
    bundle = make_bundle()
    key = replace(bundle.policy.keys[0], not_after=CREATED + timedelta(days=1))
    bundle.policy = replace(bundle.policy, keys=(key,))
    bundle.verify()
    bundle.clock.advance(86_400)
    with refused(ErrorCode.SIGNATURE_EXPIRED, bundle.signer.key_id, "2026-01-02"):
        bundle.verify()


def test_key_not_yet_valid() -> None:
    """SIGN_008: the key's validity has not begun."""
    bundle = make_bundle()
    key = replace(bundle.policy.keys[0], not_before=CREATED + timedelta(seconds=1))
    bundle.policy = replace(bundle.policy, keys=(key,))
    with refused(ErrorCode.SIGNATURE_EXPIRED, "not valid before"):
        bundle.verify()
    bundle.clock.advance(1)
    bundle.verify()


def test_expired_manifest() -> None:
    """SIGN_008: the bundle's own validity ended."""
    bundle = make_bundle(expires_at=CREATED + timedelta(hours=1))
    bundle.verify()
    bundle.clock.advance(3_600)
    with refused(ErrorCode.SIGNATURE_EXPIRED, "acme/digits@3", "2026-01-01T01:00:00.000Z"):
        bundle.verify()


def test_revoked_key() -> None:
    """SIGN_009: the key is revoked, trusted or not."""
    bundle = make_bundle()
    revoked = frozenset({bundle.signer.key_id})
    for keys in (bundle.policy.keys, ()):
        bundle.policy = TrustPolicy(tenant="acme", keys=keys, revoked_keys=revoked)
        with refused(ErrorCode.REVOKED, bundle.signer.key_id):
            bundle.verify()


PARENT = digest_bytes(b"parent")


@pytest.mark.parametrize("what", ["manifest", "parent", "file 'model.onnx'"])
def test_revoked_digest(what: str) -> None:
    """SIGN_009: the bundle, what it was made from, or one of its files is revoked."""
    bundle = make_bundle(parent=PARENT)
    digests = {
        "manifest": bundle.manifest.digest,
        "parent": PARENT,
        "file 'model.onnx'": digest_bytes(FILES["model.onnx"]),
    }
    bundle.policy = replace(bundle.policy, revoked_digests=frozenset({digests[what]}))
    with refused(ErrorCode.REVOKED, what, digests[what]):
        bundle.verify()


def test_signed_but_malformed_manifest() -> None:
    """SIGN_010: a trusted key signed a manifest that breaks the rules."""
    bundle = make_bundle()
    data = bundle.files[MANIFEST_NAME] + b"\n"
    document = json.loads(statement_of(bundle.manifest))
    for resource in document["predicate"]["resources"]:
        if resource["name"] == MANIFEST_NAME:
            resource["digest"] = digest_bytes(data)[7:]
    bundle.files[MANIFEST_NAME] = data
    resigned(bundle, rfc8785.dumps(document))
    with refused(ErrorCode.MANIFEST_INVALID, "canonical"):
        bundle.verify()


@pytest.mark.parametrize(
    ("field", "asked"),
    [
        ("tenant", Subject(tenant="globex", model="digits")),
        ("model", Subject(tenant="acme", model="wine")),
        ("version", Subject(tenant="acme", model="digits", version=4)),
        ("variant", Subject(tenant="acme", model="digits", variant="onnx-int8/cpu")),
        ("kind", Subject(tenant="acme", model="digits", kind="bento")),
    ],
)
def test_another_subject(field: str, asked: Subject) -> None:
    """SIGN_011: validly signed, but not what was asked for."""
    bundle = make_bundle()
    verifier = BundleVerifier(bundle.policy, bundle.clock)
    with refused(ErrorCode.SUBJECT_MISMATCH, f"another {field}"):
        verifier.verify(MemorySource(bundle.files), subject=asked)


def test_another_tenants_bundle_under_a_shared_key() -> None:
    """SIGN_011: a key that two tenants trust does not make one's bundle the other's."""
    bundle = make_bundle(tenant="globex")
    bundle.policy = replace(bundle.policy, tenant="acme")
    with refused(ErrorCode.SUBJECT_MISMATCH, "tenant"):
        bundle.verify()
