# SPDX-License-Identifier: Apache-2.0
"""The signer suite over both algorithms."""

from __future__ import annotations

import pytest

from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.signing.interface import Signer
from artifacts.signing.p256 import EcdsaP256Signer
from artifacts.testing import SignerContract


class TestEd25519(SignerContract):
    """Ed25519, also after its key went through PEM."""

    @pytest.fixture(params=["fresh", "pem"])
    def signer(self, request: pytest.FixtureRequest) -> Signer:
        signer = Ed25519Signer.generate()
        return signer if request.param == "fresh" else Ed25519Signer.from_pem(signer.to_pem())


class TestP256(SignerContract):
    """ECDSA on P-256, also after its key went through PEM."""

    @pytest.fixture(params=["fresh", "pem"])
    def signer(self, request: pytest.FixtureRequest) -> Signer:
        signer = EcdsaP256Signer.generate()
        return signer if request.param == "fresh" else EcdsaP256Signer.from_pem(signer.to_pem())
