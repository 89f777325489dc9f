# SPDX-License-Identifier: Apache-2.0
"""What a token has to be to be believed, and every way not to be."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from artifacts.tokens.jwk import Algorithm
from artifacts.tokens.keyset import KeySet, Patience
from artifacts.tokens.testing import TokenSigner, b64url, key_set
from artifacts.tokens.verifier import MOST_TOKEN_BYTES, TokenIssuer, TokenVerifier
from core.clock import ManualClock
from core.errors import AuthError, ErrorCode

CORP, OTHER = "https://id.example", "https://other.example"


class Document:
    """A key set in memory that counts its readers."""

    def __init__(self, *signers: TokenSigner) -> None:
        self.document = key_set(*signers)
        self.reads = 0

    async def read(self) -> bytes:
        self.reads += 1
        return self.document


@pytest.fixture(scope="module")
def rsa() -> TokenSigner:
    return TokenSigner("RS256", kid="k1")


@pytest.fixture(scope="module")
def other() -> TokenSigner:
    return TokenSigner("RS256", kid="k1")  # the same id as the other issuer's key, on purpose


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def issuer(
    source: Document, clock: ManualClock, iss: str = CORP, *, algorithms: tuple[Algorithm, ...] = ("RS256",)
) -> TokenIssuer:
    return TokenIssuer(
        name=iss.split("//")[1],
        issuer=iss,
        audiences=frozenset({"furo", "urn:furoshiki"}),
        keys=KeySet(source, name=iss, clock=clock, patience=Patience()),
        algorithms=frozenset(algorithms),
        leeway_s=30.0,
    )


def verifier(rsa: TokenSigner, clock: ManualClock) -> TokenVerifier[TokenIssuer]:
    return TokenVerifier([issuer(Document(rsa), clock)], clock=clock)


def claims(clock: ManualClock, **changes: Any) -> dict[str, Any]:
    now = clock.now().timestamp()
    return {"iss": CORP, "aud": "furo", "sub": "alice", "iat": now, "exp": now + 60, **changes}


async def refused(checker: TokenVerifier[TokenIssuer], token: str) -> str:
    """Why a token is not believed, as its sender is told; fails if it is believed."""
    with pytest.raises(AuthError) as caught:
        await checker.verify(token)
    assert caught.value.code is ErrorCode.AUTH_INVALID
    assert token not in caught.value.message
    return caught.value.message


async def test_a_good_token_says_what_it_says_until_it_ends(rsa: TokenSigner, clock: ManualClock) -> None:
    """Its claims, its issuer, and its end with the leeway."""
    found = await verifier(rsa, clock).verify(rsa.sign(claims(clock, aud=["x", "urn:furoshiki"])))
    assert (found.issuer.issuer, found.claims["sub"]) == (CORP, "alice")
    assert (found.ends - clock.now()).total_seconds() == 90


async def test_a_public_key_is_no_hmac_secret(rsa: TokenSigner, clock: ManualClock) -> None:
    """HS256 keyed with the public key, in each form an attacker could have it, is refused; so is asking for ``none``."""
    jwk = rsa.jwk()
    body = f"{b64url(json.dumps({'alg': 'HS256', 'kid': 'k1', 'typ': 'JWT'}).encode())}." + b64url(
        json.dumps(claims(clock)).encode()
    )
    for secret in (json.dumps(jwk).encode(), jwk["n"].encode(), base64.urlsafe_b64decode(jwk["n"] + "==")):
        forged = b64url(hmac.new(secret, body.encode(), hashlib.sha256).digest())
        await refused(verifier(rsa, clock), f"{body}.{forged}")
    for alg in ("none", "None", "NONE", ""):
        unsigned = rsa.sign(claims(clock), alg=alg).rpartition(".")[0]
        await refused(verifier(rsa, clock), f"{unsigned}.")


async def test_a_key_counts_for_its_own_issuer_only(rsa: TokenSigner, other: TokenSigner, clock: ManualClock) -> None:
    """Two issuers with one key id: neither signs for the other."""
    checker = TokenVerifier([issuer(Document(rsa), clock), issuer(Document(other), clock, OTHER)], clock=clock)
    assert (await checker.verify(other.sign(claims(clock, iss=OTHER)))).issuer.issuer == OTHER
    await refused(checker, other.sign(claims(clock)))
    await refused(checker, rsa.sign(claims(clock, iss=OTHER)))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"aud": "other"}, "audience"),
        ({"aud": ["other"]}, "audience"),
        ({"aud": None}, "audience"),
        ({"aud": {"furo": 1}}, "audience"),
        ({"iss": OTHER}, "not valid"),
        ({"iss": CORP + "/"}, "not valid"),
        ({"exp": 0}, "expired"),
        ({"exp": None}, "'exp'"),
        ({"exp": "4e9"}, "not valid"),
        ({"nbf": 4e9}, "not in force yet"),
        ({"iat": 4e9}, "not in force yet"),
    ],
)
async def test_claims_that_do_not_fit_are_told(
    rsa: TokenSigner, clock: ManualClock, changes: dict[str, Any], told: str
) -> None:
    """To whoever has a good signature; an unknown issuer is told nothing."""
    assert told in await refused(verifier(rsa, clock), rsa.sign(claims(clock, **changes)))


async def test_another_signature_is_told_nothing(rsa: TokenSigner, other: TokenSigner, clock: ManualClock) -> None:
    """An expired token with a wrong signature does not learn that it expired."""
    assert await refused(verifier(rsa, clock), other.sign(claims(clock, exp=0))) == "The credential is not valid."


@pytest.mark.parametrize("header", [{"crit": ["exp"]}, {"typ": "jose"}, {"typ": "dpop+jwt"}])
async def test_tokens_of_other_kinds_are_refused(rsa: TokenSigner, clock: ManualClock, header: dict[str, Any]) -> None:
    """Extensions that must be understood, and tokens that are for something else."""
    await refused(verifier(rsa, clock), rsa.sign(claims(clock), **header))


@pytest.mark.parametrize("token", ["", "..", "a.b.c", "e30.e30.", "é.é.é", "=.=.=", "e30.W10.AA", "bnVsbA.bnVsbA.AA"])
async def test_what_is_no_token_is_refused(rsa: TokenSigner, clock: ManualClock, token: str) -> None:
    """Whatever the bytes are."""
    with pytest.raises(AuthError):
        await verifier(rsa, clock).verify(token)


async def test_a_huge_token_is_not_read(rsa: TokenSigner, clock: ManualClock) -> None:
    """However good its signature is; and no keys are fetched for it."""
    source = Document(rsa)
    token = rsa.sign(claims(clock, padding="x" * MOST_TOKEN_BYTES))
    await refused(TokenVerifier([issuer(source, clock)], clock=clock), token)
    assert source.reads == 0


async def test_a_key_id_nobody_knows_has_the_keys_fetched_once(rsa: TokenSigner, clock: ManualClock) -> None:
    """Made-up ids cannot make this process call the issuer more often than every ten seconds."""
    source = Document(rsa)
    checker = TokenVerifier([issuer(source, clock)], clock=clock)
    await checker.verify(rsa.sign(claims(clock)))
    clock.advance(11)
    for at in range(50):
        await refused(checker, rsa.sign(claims(clock), kid=f"made-up-{at}"))
    assert source.reads == 2


async def test_rotated_keys_are_found_and_dropped_keys_end(rsa: TokenSigner, clock: ManualClock) -> None:
    """A new key works at its first token; the old one until its issuer takes it out and the keys are fetched again."""
    new, source = TokenSigner("RS256", kid="k2"), Document(rsa)
    checker = TokenVerifier([issuer(source, clock)], clock=clock)
    await checker.verify(rsa.sign(claims(clock)))
    source.document = key_set(new, rsa)
    clock.advance(11)
    await checker.verify(new.sign(claims(clock)))
    await checker.verify(rsa.sign(claims(clock)))
    source.document = key_set(new)
    clock.advance(11)
    await refused(checker, rsa.sign(claims(clock), kid="k3"))  # has the keys fetched
    await refused(checker, rsa.sign(claims(clock)))
