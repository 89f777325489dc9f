# SPDX-License-Identifier: Apache-2.0
"""Law: a bundle with any single byte changed, anywhere, does not verify."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.manifest import MANIFEST_NAME, SIGNATURE_NAME
from artifacts.signing.bundle import decode_envelope
from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.signing.p256 import EcdsaP256Signer
from artifacts.signing.policy import TrustPolicy
from artifacts.testing import Bundle, make_bundle
from core.errors import SignatureError

BUNDLES = {
    "ed25519": make_bundle(signer=Ed25519Signer.generate()),
    "p256": make_bundle(signer=EcdsaP256Signer.generate()),
}
PARTS = sorted(BUNDLES["ed25519"].files)


def verify_changed(bundle: Bundle, part: str, data: bytes) -> None:
    Bundle(
        manifest=bundle.manifest, signer=bundle.signer, files=bundle.files | {part: data}, policy=bundle.policy
    ).verify()


@given(st.sampled_from(sorted(BUNDLES)), st.sampled_from(PARTS), st.data())
def test_a_changed_byte_is_refused(algorithm: str, part: str, data: st.DataObject) -> None:
    """A bundle with any single byte changed does not verify."""
    bundle = BUNDLES[algorithm]
    changed = bytearray(bundle.files[part])
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SignatureError):
        verify_changed(bundle, part, bytes(changed))


@pytest.mark.parametrize("part", [MANIFEST_NAME, SIGNATURE_NAME])
@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80])
def test_every_position_counts(part: str, mask: int) -> None:
    """Not one byte of manifest or signature may change: not its lowest bit, its letter case or its highest bit."""
    bundle = BUNDLES["ed25519"]
    original = bundle.files[part]
    for position in range(len(original)):
        changed = original[:position] + bytes([original[position] ^ mask]) + original[position + 1 :]
        with pytest.raises(SignatureError):
            verify_changed(bundle, part, changed)


@given(st.sampled_from(PARTS), st.data())
def test_a_lost_or_added_byte_is_refused(part: str, data: st.DataObject) -> None:
    """A bundle with a byte left out or put in does not verify."""
    bundle = BUNDLES["ed25519"]
    original = bundle.files[part]
    position = data.draw(st.integers(0, len(original) - 1))
    added = bytes([data.draw(st.integers(0, 255))])
    for changed in (original[:position] + original[position + 1 :], original[:position] + added + original[position:]):
        with pytest.raises(SignatureError):
            verify_changed(bundle, part, changed)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
)


@given(st.sampled_from(["mediaType", "verificationMaterial", "dsseEnvelope"]), json_values)
def test_any_json_in_a_signature_raises_nothing_else(field: str, value: Any) -> None:
    """Any JSON value in a field of model.sig gives a SignatureError, never another exception."""
    bundle = make_bundle(signer=BUNDLES["ed25519"].signer)
    bundle.edit_signature(lambda document: document.update({field: value}))
    with pytest.raises(SignatureError):
        bundle.verify()


@given(st.binary(max_size=200))
def test_garbage_raises_nothing_else(data: bytes) -> None:
    """Bytes from outside give a SignatureError, never another exception."""
    for read in (decode_envelope, TrustPolicy.from_bytes):
        with pytest.raises(SignatureError):
            read(data)
