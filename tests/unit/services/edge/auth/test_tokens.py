# SPDX-License-Identifier: Apache-2.0
"""Tokens: what is believed, and everything that is not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from artifacts.testing import refused
from artifacts.tokens.jwk import Algorithm
from artifacts.tokens.keyset import KeySet, Patience
from artifacts.tokens.testing import TokenSigner, b64url, key_set
from core.clock import ManualClock
from core.errors import AuthError, ErrorCode
from services.edge.auth.tenants import SameForAll, TenantRecord
from services.edge.auth.tokens import Issuer, TokenDirectory
from services.edge.context import TenantLimits
from services.edge.features import DEFAULT_FEATURES

ISSUER, AUDIENCE, LEEWAY = "https://id.example", "furoshiki", 30.0
ALGORITHMS: tuple[Algorithm, ...] = ("EdDSA", "ES256", "RS256")


class Document:
    """A key set in memory."""

    def __init__(self, *signers: TokenSigner) -> None:
        self.document = key_set(*signers)

    async def read(self) -> bytes:
        return self.document


@pytest.fixture(scope="module")
def signers() -> dict[str, TokenSigner]:
    return {algorithm: TokenSigner(algorithm, kid=algorithm) for algorithm in ALGORITHMS}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def issuer(clock: ManualClock, *signers: TokenSigner, **changes: Any) -> Issuer:
    keys = KeySet(Document(*signers), name="corp", clock=clock, patience=Patience())
    settings: dict[str, Any] = {
        "name": "corp",
        "issuer": ISSUER,
        "audiences": frozenset({AUDIENCE}),
        "keys": keys,
        "algorithms": frozenset(ALGORITHMS),
        "tenants": frozenset(),
        "tenant_claim": "tenant",
        "scope_claim": "scope",
        "leeway_s": LEEWAY,
    }
    return Issuer(**(settings | changes))


@pytest.fixture
def directory(signers: dict[str, TokenSigner], clock: ManualClock) -> TokenDirectory:
    return TokenDirectory([issuer(clock, *signers.values())], tenants=SameForAll(), clock=clock)


def claims(clock: ManualClock, **changes: Any) -> dict[str, Any]:
    """Claims that are in force for a minute; a value of None leaves one out."""
    now = clock.now().timestamp()
    full = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "alice",
        "tenant": "acme",
        "scope": "openid infer",
        "iat": now,
        "exp": now + 60,
        **changes,
    }
    return {name: value for name, value in full.items() if value is not None}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_good_token_names_its_tenant(
    directory: TokenDirectory, signers: dict[str, TokenSigner], clock: ManualClock, algorithm: Algorithm
) -> None:
    """Tenant, a key id that says who, and the moment of expiry with its leeway."""
    found = await directory.whoami(signers[algorithm].sign(claims(clock)))
    assert (found.principal.tenant, found.principal.key_id) == ("acme", "corp:alice")
    assert found.principal.features == DEFAULT_FEATURES
    assert found.expires_at is not None
    assert (found.expires_at - clock.now()).total_seconds() == 60 + LEEWAY


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["other", AUDIENCE]},
        {"scope": ["openid", "infer"]},
        {"scope": "admin"},
        {"iat": None},
        {"nbf": 0},
        {"exp": 10**400},
        {"exp": 1.5e300},
        {"sub": None},
        {"sub": "auth0|5f7c"},
        {"extra": {"nested": [1, 2, 3]}},
    ],
    ids=str,
)
async def test_forms_a_good_token_may_have(
    directory: TokenDirectory, signers: dict[str, TokenSigner], clock: ManualClock, changes: dict[str, Any]
) -> None:
    """Lists or strings, optional claims, distant ends, and claims nobody asked for."""
    found = await directory.whoami(signers["EdDSA"].sign(claims(clock, **changes)))
    assert found.principal.tenant == "acme"


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "at+jwt", "application/at+jwt"])
async def test_types_of_access_tokens_are_taken(
    directory: TokenDirectory, signers: dict[str, TokenSigner], clock: ManualClock, typ: str | None
) -> None:
    """RFC 9068's type and the plain one, in any case, or none."""
    assert await directory.whoami(signers["EdDSA"].sign(claims(clock), typ=typ))


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"iss": None},
        {"iss": [ISSUER]},
        {"aud": "other"},
        {"aud": None},
        {"aud": []},
        {"aud": {AUDIENCE: 1}},
        {"aud": AUDIENCE + "x"},
        {"exp": None},
        {"exp": "2030"},
        {"exp": True},
        {"exp": [1]},
        {"exp": -(10**400)},
        {"exp": 0},
        {"nbf": 4e9},
        {"nbf": "now"},
        {"iat": 4e9},
        {"iat": {}},
        {"tenant": None},
        {"tenant": ""},
        {"tenant": 7},
        {"tenant": ["acme"]},
        {"tenant": "../acme"},
        {"tenant": "a" * 64},
        {"tenant": "Acme"},
    ],
    ids=str,
)
async def test_claims_that_do_not_fit_are_refused(
    directory: TokenDirectory, signers: dict[str, TokenSigner], clock: ManualClock, changes: dict[str, Any]
) -> None:
    """Another issuer or audience, no end, expired, not yet in force, no tenant, or values of another type: AUTH_002."""
    with refused(ErrorCode.AUTH_INVALID):
        await directory.whoami(signers["EdDSA"].sign(claims(clock, **changes)))


async def test_a_token_is_in_force_up_to_the_leeway(
    directory: TokenDirectory, signers: dict[str, TokenSigner], clock: ManualClock
) -> None:
    """Clocks may differ by the leeway, in both directions, and no more."""
    now = clock.now().timestamp()
    early = signers["EdDSA"].sign(claims(clock, nbf=now + LEEWAY, iat=now + LEEWAY))
    late = signers["EdDSA"].sign(claims(clock, exp=now - LEEWAY + 1))
    for token in (early, late):
        assert await directory.whoami(token)
    for gone in (claims(clock, nbf=now + LEEWAY + 1), claims(clock, exp=now - LEEWAY)):
        with refused(ErrorCode.AUTH_INVALID):
            await directory.whoami(signers["EdDSA"].sign(gone))


@pytest.mark.parametrize(
    "scope", [None, "", "read", "infer:all", "INFER", ["read", 7], {"infer": True}, "infer\tadmin"]
)
async def test_a_token_without_the_scope_is_forbidden(
    directory: TokenDirectory, signers: dict[str, TokenSigner], clock: ManualClock, scope: Any
) -> None:
    """AUTH_003: the token is good, but not for this."""
    with refused(ErrorCode.AUTH_FORBIDDEN):
        await directory.whoami(signers["EdDSA"].sign(claims(clock, scope=scope)))


def _unsigned(header: dict[str, Any], body: dict[str, Any], signature: str = "") -> str:
    return f"{b64url(json.dumps(header).encode())}.{b64url(json.dumps(body).encode())}.{signature}"


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", "nOnE"])
async def test_none_is_no_algorithm(directory: TokenDirectory, clock: ManualClock, alg: str) -> None:
    """A token without a signature is refused, however the word is written."""
    for kid in ("EdDSA", "RS256", None):
        with refused(ErrorCode.AUTH_INVALID):
            await directory.whoami(_unsigned({"alg": alg, "kid": kid}, claims(clock)))


async def test_a_public_key_is_no_secret(
    directory: TokenDirectory, signers: dict[str, TokenSigner], clock: ManualClock
) -> None:
    """Algorithm confusion: HMAC with any spelling of the public key as its secret."""
    for signer in signers.values():
        jwk = signer.jwk()
        secrets = [json.dumps(jwk).encode(), *(value.encode() for value in jwk.values())]
        secrets += [base64.urlsafe_b64decode(v + "==") for k, v in jwk.items() if k in {"x", "y", "n"}]
        for secret in secrets:
            token = _unsigned({"alg": "HS256", "kid": signer.kid}, claims(clock))[:-1]
            signature = b64url(hmac.digest(secret, token.encode(), hashlib.sha256))
            with refused(ErrorCode.AUTH_INVALID):
                await directory.whoami(f"{token}.{signature}")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_key_is_used_with_its_own_algorithm_only(
    directory: TokenDirectory, signers: dict[str, TokenSigner], clock: ManualClock, algorithm: Algorithm
) -> None:
    """A token that names another algorithm than its key's, or another key than its algorithm's, is refused."""
    for other in (*ALGORITHMS, "RS512", "PS256", "ES384", "HS256"):
        if other != algorithm:
            with refused(ErrorCode.AUTH_INVALID):
                await directory.whoami(signers[algorithm].sign(claims(clock), alg=other))
            with refused(ErrorCode.AUTH_INVALID):
                await directory.whoami(signers[algorithm].sign(claims(clock), kid=other))


@pytest.mark.parametrize(
    "header",
    [
        {"kid": "unknown"},
        {"kid": 7},
        {"kid": ["EdDSA"]},
        {"typ": "dpop+jwt"},
        {"typ": "logout+jwt"},
        {"typ": "JWE"},
        {"typ": 7},
        {"crit": ["exp"]},
        {"crit": []},
        {"crit": ["b64"], "b64": False},
        {"alg": 7},
    ],
    ids=str,
)
async def test_headers_that_do_not_fit_are_refused(
    directory: TokenDirectory, signers: dict[str, TokenSigner], clock: ManualClock, header: dict[str, Any]
) -> None:
    """An unknown key, a token for something else, a demanded extension."""
    with refused(ErrorCode.AUTH_INVALID):
        await directory.whoami(signers["EdDSA"].sign(claims(clock), **header))


async def test_where_a_token_says_its_keys_are_is_not_read(
    directory: TokenDirectory, signers: dict[str, TokenSigner], clock: ManualClock
) -> None:
    """A key in the header, or behind a URL in it, is not used."""
    evil = TokenSigner("EdDSA", kid="EdDSA")
    for header in ({"jwk": evil.jwk()}, {"jku": "http://127.0.0.1:1/keys"}, {"x5u": "http://127.0.0.1:1/cert"}):
        with refused(ErrorCode.AUTH_INVALID):
            await directory.whoami(evil.sign(claims(clock), **header))


async def test_a_changed_token_is_refused(
    directory: TokenDirectory, signers: dict[str, TokenSigner], clock: ManualClock
) -> None:
    """Other claims under the same signature, a cut one, one of another key, parts too few or too many."""
    good = signers["EdDSA"].sign(claims(clock))
    head, _, signature = good.split(".")
    richer = b64url(json.dumps(claims(clock, tenant="globex")).encode())
    foreign = TokenSigner("EdDSA", kid="EdDSA").sign(claims(clock))
    for bad in (
        f"{head}.{richer}.{signature}",
        good[:-2],
        good + "x",
        foreign,
        f"{head}..{signature}",
        "..",
        f"{good}=",
        "a.b.c",
    ):
        with refused(ErrorCode.AUTH_INVALID):
            await directory.whoami(bad)


@pytest.mark.parametrize("part", [b"[]", b"{", b"7", b"\xff", b"null", b"[" * 5000, b'{"alg":"EdDSA"'])
async def test_parts_that_are_no_objects_are_refused(
    directory: TokenDirectory, signers: dict[str, TokenSigner], clock: ManualClock, part: bytes
) -> None:
    """As header and as claims, validly signed."""
    head, body, _ = signers["EdDSA"].sign(claims(clock)).split(".")
    for message in (f"{b64url(part)}.{body}", f"{head}.{b64url(part)}"):
        signature = b64url(signers["EdDSA"].signature(message.encode()))
        with refused(ErrorCode.AUTH_INVALID):
            await directory.whoami(f"{message}.{signature}")


async def test_without_a_key_id_the_only_key_is_used(signers: dict[str, TokenSigner], clock: ManualClock) -> None:
    """One key for the algorithm: that one. Two: the token has to say which."""
    token = signers["EdDSA"].sign(claims(clock), kid=None)
    one = TokenDirectory([issuer(clock, *signers.values())], tenants=SameForAll(), clock=clock)
    assert await one.whoami(token)
    both = issuer(clock, signers["EdDSA"], TokenSigner("EdDSA", kid="second"))
    with refused(ErrorCode.AUTH_INVALID):
        await TokenDirectory([both], tenants=SameForAll(), clock=clock).whoami(token)


async def test_an_algorithm_that_is_not_allowed_is_refused(signers: dict[str, TokenSigner], clock: ManualClock) -> None:
    """An issuer that may sign with ES256 only does not get through with a good RS256 key."""
    strict = issuer(clock, *signers.values(), algorithms=frozenset({"ES256"}))
    directory = TokenDirectory([strict], tenants=SameForAll(), clock=clock)
    assert await directory.whoami(signers["ES256"].sign(claims(clock)))
    with refused(ErrorCode.AUTH_INVALID):
        await directory.whoami(signers["RS256"].sign(claims(clock)))


async def test_an_issuer_speaks_for_its_tenants_only(signers: dict[str, TokenSigner], clock: ManualClock) -> None:
    """Each issuer's keys open what that issuer may name, whatever a token says."""
    corp = issuer(clock, signers["EdDSA"], tenants=frozenset({"acme"}))
    other = issuer(clock, signers["ES256"], name="other", issuer="https://other.example", tenants=frozenset({"globex"}))
    directory = TokenDirectory([corp, other], tenants=SameForAll(), clock=clock)
    globex = claims(clock, tenant="globex")
    assert await directory.whoami(signers["EdDSA"].sign(claims(clock)))
    assert await directory.whoami(signers["ES256"].sign(globex | {"iss": "https://other.example"}))
    for token in (
        signers["EdDSA"].sign(globex),
        signers["EdDSA"].sign(globex | {"iss": "https://other.example"}),
        signers["ES256"].sign(globex),
        signers["ES256"].sign(claims(clock, iss="https://other.example")),
    ):
        with refused(ErrorCode.AUTH_INVALID):
            await directory.whoami(token)


async def test_claims_may_have_other_names(signers: dict[str, TokenSigner], clock: ManualClock) -> None:
    """Tenant and scopes are read from the claims the operator names."""
    named = issuer(clock, signers["EdDSA"], tenant_claim="https://x/org", scope_claim="scp")
    directory = TokenDirectory([named], tenants=SameForAll(), clock=clock)
    token = signers["EdDSA"].sign(claims(clock, **{"https://x/org": "globex", "scp": ["infer"], "scope": None}))
    assert (await directory.whoami(token)).principal.tenant == "globex"


async def test_limits_and_features_are_the_tenants(signers: dict[str, TokenSigner], clock: ManualClock) -> None:
    """A token carries none of them: they come from the tenant's record; an unknown tenant has none and is refused."""
    record = TenantRecord(limits=TenantLimits(burst=3), features=frozenset({"v2.binary"}))

    class Records:
        async def record(self, tenant: str) -> TenantRecord:
            if tenant != "acme":
                raise AuthError(ErrorCode.AUTH_INVALID, "No such tenant.")
            return record

    directory = TokenDirectory([issuer(clock, signers["EdDSA"])], tenants=Records(), clock=clock)
    principal = (await directory.whoami(signers["EdDSA"].sign(claims(clock)))).principal
    assert (principal.limits, principal.features) == (record.limits, record.features)
    with refused(ErrorCode.AUTH_INVALID):
        await directory.whoami(signers["EdDSA"].sign(claims(clock, tenant="globex")))


@pytest.mark.parametrize(
    ("subject", "shown"), [("a\nb\x1b[0m", "a_b__0m"), ("ü" * 100, "_" * 64), ("x" * 65, "x" * 64), (7, "")]
)
async def test_a_subject_can_do_no_harm_in_a_log(
    directory: TokenDirectory, signers: dict[str, TokenSigner], clock: ManualClock, subject: Any, shown: str
) -> None:
    """Of it only short plain text is kept."""
    found = await directory.whoami(signers["EdDSA"].sign(claims(clock, sub=subject)))
    assert found.principal.key_id == f"corp:{shown}"


async def test_only_whoever_can_sign_is_told_why(
    directory: TokenDirectory, signers: dict[str, TokenSigner], clock: ManualClock
) -> None:
    """An expired token of ours says so; what somebody made up says nothing."""
    expired = claims(clock, exp=datetime(2020, 1, 1, tzinfo=UTC).timestamp())
    with pytest.raises(AuthError, match="has expired"):
        await directory.whoami(signers["EdDSA"].sign(expired))
    with pytest.raises(AuthError, match="The credential is not valid"):
        await directory.whoami(TokenSigner("EdDSA", kid="EdDSA").sign(expired))
