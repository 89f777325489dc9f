# SPDX-License-Identifier: Apache-2.0
"""Key sets: which keys are taken, for which algorithm, and what they verify."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.tokens.jwk import Algorithm, InvalidKeySet, read_keys, unpadded
from artifacts.tokens.testing import TokenSigner, b64url, key_set

ALGORITHMS: tuple[Algorithm, ...] = ("EdDSA", "ES256", "RS256")
MESSAGE = b"header.claims"


@pytest.fixture(scope="module")
def signers() -> dict[str, TokenSigner]:
    return {algorithm: TokenSigner(algorithm, kid=algorithm) for algorithm in ALGORITHMS}


def document(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_verifies_what_its_owner_signed_and_nothing_else(
    signers: dict[str, TokenSigner], algorithm: Algorithm
) -> None:
    """Another message, a changed, cut, empty or foreign signature: no."""
    signer, other = signers[algorithm], TokenSigner(algorithm)
    (key,) = read_keys(key_set(signer))
    assert (key.kid, key.algorithm) == (algorithm, algorithm)
    good = signer.signature(MESSAGE)
    assert key.verify(MESSAGE, good)
    for bad in (
        b"",
        good[:-1],
        good + b"\0",
        bytes([good[0] ^ 1]) + good[1:],
        b"\0" * len(good),
        other.signature(MESSAGE),
    ):
        assert not key.verify(MESSAGE, bad)
    assert not key.verify(MESSAGE + b"x", good)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"},
        {"key_ops": ["encrypt"]},
        {"alg": "HS256"},
        {"alg": "none"},
        {"alg": "RS512"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "unknown"},
        {"x": "!", "n": "!"},
        {"x": "", "n": ""},
        {"x": b64url(b"\x07" * 32), "y": b64url(b"\x07" * 32), "n": b64url(b"\xff" * 127)},
        {"x": 7, "n": 7},
        {"crv": "P-384", "e": b64url(b"\x00")},
    ],
    ids=str,
)
def test_what_is_no_key_for_this_is_left_out(
    signers: dict[str, TokenSigner], algorithm: Algorithm, change: dict[str, Any]
) -> None:
    """A key for something else, of another kind, too short or malformed is not taken; the others of the set are."""
    if algorithm == "EdDSA" and change.get("y"):
        change = {"x": b64url(b"\x07" * 31)}
    keys = read_keys(document(signers[algorithm].jwk() | change, signers["EdDSA"].jwk() | {"kid": "good"}))
    assert [key.kid for key in keys] == ["good"]


def test_a_key_may_say_less() -> None:
    """Id, use and algorithm are optional: the key's own type decides."""
    jwk = {name: value for name, value in TokenSigner("ES256").jwk().items() if name not in {"kid", "use", "alg"}}
    assert [(key.kid, key.algorithm) for key in read_keys(document(jwk))] == [(None, "ES256")]


def test_private_parts_are_not_read() -> None:
    """A set that was published with its private halves verifies as any other."""
    signer = TokenSigner("RS256")
    (key,) = read_keys(document(signer.jwk() | {"d": "AQ", "p": "AQ", "q": "AQ"}))
    assert key.verify(MESSAGE, signer.signature(MESSAGE))


@pytest.mark.parametrize("bits", [1024, 2048])
def test_a_short_rsa_key_is_left_out(bits: int) -> None:
    """2048 bits at least."""
    assert len(read_keys(key_set(TokenSigner("RS256", rsa_bits=bits)))) == (bits == 2048)


@pytest.mark.parametrize(
    "bad", [b"", b"x", b"[]", b"{}", b'{"keys": 1}', b"\xff", b'{"keys": [' + b"{}," * 64 + b"{}]}"], ids=repr
)
def test_what_is_no_key_set_is_refused(bad: bytes) -> None:
    """Neither other JSON nor more keys than are read."""
    with pytest.raises(InvalidKeySet):
        read_keys(bad)


@given(st.binary(max_size=200))
def test_base64url_is_strict(data: bytes) -> None:
    """What was encoded is decoded; padding and the other alphabet are refused."""
    assert unpadded(b64url(data).encode()) == data
    if len(data) % 3:
        with pytest.raises(ValueError, match="base64url"):
            unpadded(base64.urlsafe_b64encode(data))


@pytest.mark.parametrize("bad", [b"a", b"+/+/", b"a a=", b"\xff\xff", b"ab\n"])
def test_what_is_not_base64url_is_refused(bad: bytes) -> None:
    """Lengths that cannot be, other characters and line ends."""
    with pytest.raises(ValueError, match="base64url"):
        unpadded(bad)
