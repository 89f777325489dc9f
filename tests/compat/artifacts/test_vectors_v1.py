# SPDX-License-Identifier: Apache-2.0
"""Frozen bundles of format version 1: they verify for ever, and signing their content again gives the same bytes.

The files under ``vectors/v1`` are never regenerated. ``docs/reference/bundle-format.md`` explains them. The private key is
the one of seed 00 01 02 … 1f, public knowledge, and must never be trusted anywhere else.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from artifacts.digest import digest_bytes
from artifacts.manifest import MANIFEST_NAME, SIGNATURE_NAME, FileEntry, Manifest
from artifacts.signing.bundle import decode_envelope, sign_manifest
from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.signing.policy import Subject, TrustPolicy
from artifacts.signing.verifier import BundleVerifier
from artifacts.source import DirectorySource
from core.clock import ManualClock
from core.tensors import DType, Signature, TensorSpec

VECTORS = Path(__file__).parent / "vectors" / "v1"
KINDS = ["model", "bento"]
SIGNER = Ed25519Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


def manifest_of(kind: str) -> Manifest:
    """The manifest that each vector was made from."""
    names = {"model": ["assets/labels.txt", "model.onnx"], "bento": ["digits.bento"]}[kind]
    contents = {name: (VECTORS / kind / name).read_bytes() for name in names}
    files = tuple(FileEntry(path=name, size=len(data), digest=digest_bytes(data)) for name, data in contents.items())
    specs = Signature(
        inputs=(TensorSpec(name="X", dtype=DType.FP32, shape=(-1, 64)),),
        outputs=(
            TensorSpec(name="label", dtype=DType.INT64, shape=(-1,)),
            TensorSpec(name="probabilities", dtype=DType.FP32, shape=(-1, 10)),
        ),
    )
    return Manifest(
        kind="model" if kind == "model" else "bento",
        tenant="acme",
        model="digits",
        version=3,
        variant="onnx-fp32/cpu",
        format="onnx",
        files=files,
        signature=specs if kind == "model" else None,
        parent=None if kind == "model" else manifest_of("model").digest,
        producer="furoshiki/0.1.0",
        created_at=datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC),
        expires_at=None if kind == "model" else datetime(2036, 1, 1, tzinfo=UTC),
        metadata={"accuracy": "0.9722", "note": "na\u00efve \u65e5\u672c"} if kind == "model" else {},
    )


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_bundle_verifies(kind: str) -> None:
    """A bundle of the first release verifies under its frozen trust policy and gives back its bytes."""
    policy = TrustPolicy.from_bytes((VECTORS / "acme.json").read_bytes())
    subject = Subject(tenant="acme", model="digits", version=3, kind="model" if kind == "model" else "bento")
    verified = BundleVerifier(policy, ManualClock()).verify(DirectorySource(VECTORS / kind), subject=subject)
    expected = json.loads((VECTORS / "expected.json").read_text())
    assert verified.digest == expected["digests"][kind]
    assert verified.key_id == expected["key_id"]
    assert {name: digest_bytes(data) for name, data in verified.files.items()} == {
        entry.path: entry.digest for entry in manifest_of(kind).files
    }


@pytest.mark.parametrize("kind", KINDS)
def test_signing_again_gives_the_frozen_bytes(kind: str) -> None:
    """Manifest and signature made today from the same content equal the frozen ones byte for byte."""
    manifest = manifest_of(kind)
    assert manifest.to_bytes() == (VECTORS / kind / MANIFEST_NAME).read_bytes()
    assert sign_manifest(manifest, SIGNER) == (VECTORS / kind / SIGNATURE_NAME).read_bytes()


def test_frozen_key_and_hint() -> None:
    """The frozen public key is that of the test seed, and its two names are the frozen ones."""
    expected = json.loads((VECTORS / "expected.json").read_text())
    envelope = decode_envelope((VECTORS / "model" / SIGNATURE_NAME).read_bytes())
    assert (VECTORS / "public.pem").read_bytes() == SIGNER.public_key
    assert (envelope.key_id, envelope.hint) == (expected["key_id"], expected["hint"])
