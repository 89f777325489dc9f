# SPDX-License-Identifier: Apache-2.0
"""Signatures over reports and calibration data say exactly one thing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from artifacts.digest import digest_bytes
from artifacts.signing.documents import Claim, DocumentKind, sign_document, verify_document
from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.signing.verifier import BundleVerifier
from artifacts.testing import refused, trust
from core.clock import SystemClock
from core.errors import ErrorCode

CLAIM = Claim(
    kind=DocumentKind.PARITY,
    name="report of acme/digits@3 tflite-int8/cpu",
    digest=digest_bytes(b"report"),
    about={"acme/digits@3 onnx-fp32/cpu": digest_bytes(b"manifest")},
    facts={"accepted": True, "conversion": "c1"},
)


def test_what_was_signed_verifies() -> None:
    """The law, for one claim."""
    signer = Ed25519Signer.generate()
    verify_document(sign_document(CLAIM, signer), CLAIM, BundleVerifier(trust(signer), SystemClock()))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": DocumentKind.CALIBRATION},
        {"name": "another"},
        {"digest": digest_bytes(b"other")},
        {"about": {}},
        {"facts": {"accepted": False, "conversion": "c1"}},
    ],
)
def test_every_other_claim_is_refused(change: dict[str, Any]) -> None:
    """SIGN_011 for another kind, name, digest, subject or fact."""
    signer = Ed25519Signer.generate()
    signature = sign_document(CLAIM, signer)
    with refused(ErrorCode.SUBJECT_MISMATCH):
        verify_document(signature, replace(CLAIM, **change), BundleVerifier(trust(signer), SystemClock()))


def test_another_key_is_refused() -> None:
    """SIGN_003: signed by somebody the tenant does not trust."""
    signature = sign_document(CLAIM, Ed25519Signer.generate())
    with refused(ErrorCode.SIGNER_UNTRUSTED):
        verify_document(signature, CLAIM, BundleVerifier(trust(Ed25519Signer.generate()), SystemClock()))
