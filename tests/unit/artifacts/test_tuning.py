# SPDX-License-Identifier: Apache-2.0
"""``tuning.json``: signed, about one variant, in one encoding, and refused in any other case."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
import rfc8785

from artifacts.manifest import MANIFEST_NAME, SIGNATURE_NAME
from artifacts.signing.bundle import Envelope, encode_envelope, pae
from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.signing.public_key import PublicKey
from artifacts.signing.verifier import BundleVerifier
from artifacts.testing import make_bundle, refused
from artifacts.tuning import MAX_TUNING_BYTES, Chosen, Device, Point, Tuning, read_tuning, sign_tuning, verify_tuning
from core.clock import SystemClock
from core.errors import ErrorCode, SignatureError

BUNDLE = make_bundle()
DIGEST = BUNDLE.manifest.digest
VERIFIER = BundleVerifier(BUNDLE.policy, SystemClock())
TUNING = Tuning(
    device=Device(cpu="Some CPU", cores=4, runner="onnx-cpu", version="1.2", features=("avx2",)),
    chosen=Chosen(instances=2, threads=2, max_rows=8),
    measurements=(
        Point(instances=1, threads=1, rows=1, rows_per_s=10.5, p50_ms=95.0),
        Point(instances=2, threads=2, rows=8, rows_per_s=300.0, p50_ms=50.25),
    ),
)


def signed(tuning: Tuning = TUNING) -> bytes:
    return sign_tuning(tuning, variant="acme/digits@3 onnx-fp32/cpu", digest=DIGEST, signer=BUNDLE.signer)


def resigned(change: Callable[[dict[str, Any]], None]) -> bytes:
    """The statement with a change, validly signed by the same key."""
    statement = json.loads(base64.b64decode(json.loads(signed())["dsseEnvelope"]["payload"]))
    change(statement)
    return sealed(rfc8785.dumps(statement))


def sealed(payload: bytes) -> bytes:
    key = PublicKey.from_pem(BUNDLE.signer.public_key)
    signature = BUNDLE.signer.sign(pae(payload))
    return encode_envelope(Envelope(payload=payload, signature=signature, key_id=key.key_id, hint=key.hint))


def test_a_signed_tuning_comes_back_as_it_was() -> None:
    """``verify(sign(tuning)) == tuning``, and reading without asking for the signer gives the same."""
    assert verify_tuning(signed(), digest=DIGEST, verifier=VERIFIER) == TUNING
    assert read_tuning(signed(), digest=DIGEST) == TUNING


def test_every_changed_byte_is_refused() -> None:
    """Whichever byte is changed, the tuning is not believed."""
    data = signed()
    for at in range(0, len(data), 7):
        forged = bytearray(data)
        forged[at] ^= 1
        with pytest.raises(SignatureError):
            verify_tuning(bytes(forged), digest=DIGEST, verifier=VERIFIER)


@pytest.mark.parametrize(
    ("change", "code", "word"),
    [
        (lambda s: s["subject"][0]["digest"].update(sha256="0" * 64), ErrorCode.SUBJECT_MISMATCH, "another"),
        (lambda s: s["subject"].append(s["subject"][0]), ErrorCode.SIGNATURE_INVALID, "subject"),
        (lambda s: s.update(predicateType="https://example.com/v1"), ErrorCode.SIGNATURE_INVALID, "predicateType"),
        (lambda s: s.update(_type="https://in-toto.io/Statement/v0.1"), ErrorCode.SIGNATURE_INVALID, "_type"),
        (lambda s: s.update(more=1), ErrorCode.SIGNATURE_INVALID, "more"),
        (lambda s: s["predicate"].update(more=1), ErrorCode.SIGNATURE_INVALID, "more"),
        (lambda s: s["predicate"].update(measurements=[]), ErrorCode.SIGNATURE_INVALID, "measurements"),
        (lambda s: s["predicate"]["chosen"].update(instances=0), ErrorCode.SIGNATURE_INVALID, "instances"),
        (lambda s: s["predicate"]["chosen"].update(instances=4), ErrorCode.SIGNATURE_INVALID, "predicate.chosen"),
        (lambda s: s["predicate"]["chosen"].update(max_rows=16), ErrorCode.SIGNATURE_INVALID, "predicate.chosen"),
    ],
)
def test_a_signed_statement_of_another_kind_is_refused(
    change: Callable[[dict[str, Any]], None], code: ErrorCode, word: str
) -> None:
    """A valid signature is not enough: subject, types, fields and the choice must be right."""
    with refused(code, "" if word == "another" else word):
        verify_tuning(resigned(change), digest=DIGEST, verifier=VERIFIER)


def test_only_the_canonical_encoding_counts() -> None:
    """The same statement with spaces, validly signed, is SIGN_002."""
    payload = base64.b64decode(json.loads(signed())["dsseEnvelope"]["payload"])
    with refused(ErrorCode.SIGNATURE_INVALID, "canonical"):
        verify_tuning(sealed(json.dumps(json.loads(payload)).encode()), digest=DIGEST, verifier=VERIFIER)


def test_who_signed_matters() -> None:
    """A stranger's is SIGN_003, a revoked key's SIGN_009."""
    stranger = sign_tuning(TUNING, variant="v", digest=DIGEST, signer=Ed25519Signer.generate())
    with refused(ErrorCode.SIGNER_UNTRUSTED):
        verify_tuning(stranger, digest=DIGEST, verifier=VERIFIER)
    policy = replace(BUNDLE.policy, revoked_keys=frozenset({BUNDLE.signer.key_id}))
    with refused(ErrorCode.REVOKED):
        verify_tuning(signed(), digest=DIGEST, verifier=BundleVerifier(policy, SystemClock()))


def test_neither_signature_passes_for_the_other() -> None:
    """The bundle's own signature is no tuning, and a tuning is no signature of the bundle."""
    with refused(ErrorCode.SIGNATURE_INVALID, "predicateType"):
        verify_tuning(BUNDLE.files[SIGNATURE_NAME], digest=DIGEST, verifier=VERIFIER)
    with refused(ErrorCode.SIGNATURE_INVALID, "predicateType"):
        VERIFIER.verify_manifest(BUNDLE.files[MANIFEST_NAME], signed(), subject=BUNDLE.subject)


def test_a_huge_file_is_not_parsed() -> None:
    """More than the limit is refused at once."""
    with refused(ErrorCode.SIGNATURE_INVALID, "at most"):
        verify_tuning(b" " * (MAX_TUNING_BYTES + 1), digest=DIGEST, verifier=VERIFIER)


def test_devices_are_told_apart_by_cpu_and_cores() -> None:
    """Another runtime version or feature list is the same device; another CPU or count is not."""
    device = TUNING.device
    replaced = [msgspec.structs.replace(device, **fields) for fields in ({"version": "9"}, {"features": ()})]
    assert {device.fingerprint, *(other.fingerprint for other in replaced)} == {device.fingerprint}
    for fields in ({"cpu": "Other"}, {"cores": 5}):
        assert msgspec.structs.replace(device, **fields).fingerprint != device.fingerprint
