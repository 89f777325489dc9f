# SPDX-License-Identifier: Apache-2.0
"""The registry's own tokens: what they are exchanged for, what they open, and every token that opens nothing."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from artifacts.tokens.keeping import FileMintingKeys
from artifacts.tokens.testing import TokenSigner, b64url
from core.clock import SystemClock
from registry_api.http.access import GRANTS, Role
from tests.integration.registry_api.rest import Api

REFUSED = (401, "AUTH_002")


def bearer(token: str) -> dict[str, str]:
    return {"X-API-Key": "", "Authorization": f"Bearer {token}"}


def claims_of(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found


def signer(api: Api) -> FileMintingKeys:
    """The registry's own keys, as only an attacker on its machine would have them."""
    folder = api.platform.settings.token_keys_dir
    return FileMintingKeys(folder, clock=SystemClock(), rotate_s=3600, overlap_s=3600)


async def test_a_key_is_exchanged_for_a_token_that_opens_the_same(api: Api) -> None:
    """In either header; it names the key, its tenant, its roles and what they allow, and ends within fifteen minutes."""
    made = await api.ok("POST", "/keys", json={"name": "ci", "roles": ["developer", "user"]})
    token = await api.ok("POST", "/tokens", json={}, headers={"X-API-Key": made["key"]})
    assert (token["roles"], token["token_type"]) == (["developer", "user"], "Bearer")
    left = datetime.fromisoformat(token["expires_at"]) - datetime.now(UTC)
    assert 890 < left.total_seconds() <= 900
    for headers in (bearer(token["token"]), {"X-API-Key": token["token"]}):
        me = await api.ok("GET", "/whoami", headers=headers)
        assert (me["tenant"], me["key_id"], me["name"]) == ("default", made["id"], "ci")
        assert set(me["actions"]) == GRANTS[Role.DEVELOPER] | GRANTS[Role.USER]
        assert me["expires_at"] == token["expires_at"]
    assert claims_of(token["token"])["scope"] == "infer"


async def test_a_token_allows_no_more_than_its_maker(api: Api) -> None:
    """Less on request; a role that the maker has not is 403; what the roles do not allow is 403 too."""
    key = {"X-API-Key": await api.key("developer", "viewer")}
    less = await api.ok("POST", "/tokens", json={"roles": ["viewer"]}, headers=key)
    assert await api.refused("POST", "/models", json={"name": "x"}, headers=bearer(less["token"])) == (403, "AUTH_003")
    for roles in (["tenant-admin"], ["viewer", "platform-admin"]):
        assert await api.refused("POST", "/tokens", json={"roles": roles}, headers=key) == (403, "AUTH_003")
    wider = await api.refused("POST", "/tokens", json={"roles": ["developer"]}, headers=bearer(less["token"]))
    assert wider == (403, "AUTH_003")


async def test_a_token_does_not_outlive_what_it_was_made_with(api: Api) -> None:
    """Neither a key that ends sooner, nor a token: nobody goes on for ever by exchanging tokens for tokens."""
    short = await api.ok("POST", "/tokens", json={"lifetime_seconds": 60})
    again = await api.ok("POST", "/tokens", json={}, headers=bearer(short["token"]))
    assert again["expires_at"] == short["expires_at"]
    long = await api.ok("POST", "/tokens", json={"lifetime_seconds": 86_400})
    assert claims_of(long["token"])["exp"] - claims_of(long["token"])["iat"] < 902


async def test_a_token_ends_with_its_key(api: Api) -> None:
    """Also one that was made with a token of that key."""
    made = await api.ok("POST", "/keys", json={"name": "ci", "roles": ["viewer"]})
    first = (await api.ok("POST", "/tokens", json={}, headers={"X-API-Key": made["key"]}))["token"]
    second = (await api.ok("POST", "/tokens", json={}, headers=bearer(first)))["token"]
    await api.ok("GET", "/models", headers=bearer(second))
    await api.ok("DELETE", f"/keys/{made['id']}")
    for token in (first, second):
        assert await api.refused("GET", "/models", headers=bearer(token)) == REFUSED


async def test_a_token_ends_with_the_secret_it_was_made_with(api: Api) -> None:
    """Of a key that was rotated because its secret leaked: at once, and those of the new secret go on."""
    made = await api.ok("POST", "/keys", json={"name": "ci", "roles": ["viewer"]})
    leaked = await api.ok("POST", "/tokens", json={}, headers={"X-API-Key": made["key"]})
    rotated = await api.ok("POST", f"/keys/{made['id']}/rotate", json={"overlap_seconds": 0})
    assert await api.refused("GET", "/whoami", headers=bearer(leaked["token"])) == REFUSED
    own = await api.ok("POST", "/tokens", json={}, headers={"X-API-Key": rotated["key"]})
    assert (await api.ok("GET", "/whoami", headers=bearer(own["token"])))["key_id"] == made["id"]


async def test_a_token_made_in_an_overlap_ends_with_it(api: Api) -> None:
    """If it was made with the secret that is about to end."""
    made = await api.ok("POST", "/keys", json={"name": "ci", "roles": ["viewer"]})
    await api.ok("POST", f"/keys/{made['id']}/rotate", json={"overlap_seconds": 60})
    old = await api.ok("POST", "/tokens", json={}, headers={"X-API-Key": made["key"]})
    assert (datetime.fromisoformat(old["expires_at"]) - datetime.now(UTC)).total_seconds() <= 60
    assert (await api.ok("GET", "/whoami", headers=bearer(old["token"])))["key_id"] == made["id"]


async def test_the_key_set_is_public_and_holds_no_secret(api: Api) -> None:
    """Nobody has to show anything to get it; it is what RFC 8037 says, and no private member is in it."""
    response = await api.http.get("/api/v1/jwks", headers={"X-API-Key": ""})
    assert response.status_code == 200
    (key,) = response.json()["keys"]
    assert set(key) == {"kty", "crv", "x", "kid", "alg", "use"}
    stored = b"".join(path.read_bytes() for path in api.platform.settings.token_keys_dir.glob("*.key"))
    assert b64url(stored) not in response.text


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1},
        {"exp": None},
        {"iat": 4e9},
        {"nbf": 4e9},
        {"aud": "other"},
        {"aud": None},
        {"iss": "https://evil.example"},
        {"roles": ["owner"]},
        {"via": "magic"},
        {"tenant": None},
        {"tenant": "nobody"},
        {"key": "0" * 16},
        {"padding": "x" * 9000},
    ],
    ids=lambda changes: str(changes)[:40],
)
async def test_claims_that_do_not_fit_open_nothing(api: Api, changes: dict[str, Any]) -> None:
    """Even signed with the registry's own key; the answer repeats nothing of the token."""
    good = claims_of((await api.ok("POST", "/tokens", json={}))["token"])
    key = await signer(api).signing()
    await api.ok("GET", "/whoami", headers=bearer(key.token(good)))
    bad = key.token({name: value for name, value in (good | changes).items() if value is not None})
    response = await api.http.get("/api/v1/whoami", headers=bearer(bad))
    assert (response.status_code, response.json()["error"]["code"]) == REFUSED
    assert bad[-40:] not in response.text


async def test_forged_signatures_open_nothing(api: Api) -> None:
    """Another key under the same id, an unknown id, the public key as an HMAC secret, ``none``, a cut signature."""
    token = (await api.ok("POST", "/tokens", json={}))["token"]
    good, (jwk,) = claims_of(token), (await api.ok("GET", "/jwks"))["keys"]
    forged = [
        TokenSigner("EdDSA", kid=jwk["kid"]).sign(good),
        TokenSigner("EdDSA", kid="unknown").sign(good),
        TokenSigner("RS256", kid=jwk["kid"]).sign(good),
        token[:-2],
        token.rpartition(".")[0] + ".",
    ]
    body = f".{b64url(json.dumps(good).encode())}"
    for alg in ("none", "HS256"):
        head = b64url(json.dumps({"alg": alg, "kid": jwk["kid"]}).encode())
        for secret in (jwk["x"].encode(), base64.urlsafe_b64decode(jwk["x"] + "="), b""):
            mac = hmac.new(secret, (head + body).encode(), hashlib.sha256).digest()
            forged.append(f"{head}{body}.{'' if alg == 'none' else b64url(mac)}")
    for bad in forged:
        assert await api.refused("GET", "/whoami", headers=bearer(bad)) == REFUSED


async def test_a_new_signing_key_leaves_tokens_alone_unless_told(api: Api) -> None:
    """Tokens of the old key work until they end; with ``revoke`` they stop within seconds. Only the platform rotates."""
    old = (await api.ok("POST", "/tokens", json={}))["token"]
    kid = (await api.ok("POST", "/token-keys/rotate", json={}))["kid"]
    assert (await api.ok("GET", "/jwks"))["keys"][0]["kid"] == kid
    new = (await api.ok("POST", "/tokens", json={}))["token"]
    for token in (old, new):
        await api.ok("GET", "/whoami", headers=bearer(token))
    await api.ok("POST", "/token-keys/rotate", json={"revoke": True})
    async with asyncio.timeout(5):
        for token in (old, new):
            while (await api.http.get("/api/v1/whoami", headers=bearer(token))).is_success:
                await asyncio.sleep(0.05)
    admin = {"X-API-Key": await api.key("tenant-admin")}
    assert await api.refused("POST", "/token-keys/rotate", json={}, headers=admin) == (403, "AUTH_003")


async def test_a_token_of_a_service_acts_for_tenants_as_its_key_does(api: Api) -> None:
    """It reads in the tenant it names; a token that was made while acting stays in that tenant."""
    await api.ok("POST", "/tenants", json={"name": "acme"})
    key = {"X-API-Key": await api.key("service")}
    token = (await api.ok("POST", "/tokens", json={}, headers=key))["token"]
    acting = bearer(token) | {"X-Furoshiki-Tenant": "acme"}
    assert (await api.ok("GET", "/whoami", headers=acting))["tenant"] == "acme"
    made = (await api.ok("POST", "/tokens", json={}, headers=acting))["token"]
    me = await api.ok("GET", "/whoami", headers=bearer(made))
    assert (me["tenant"], me["roles"]) == ("acme", ["service"])


async def test_no_credential_is_taken_from_an_address(api: Api) -> None:
    """Query parameters and cookies are not looked at."""
    token = (await api.ok("POST", "/tokens", json={}))["token"]
    for name in ("access_token", "token", "api_key", "X-API-Key"):
        path = f"/whoami?{name}={token}"
        assert await api.refused("GET", path, headers={"X-API-Key": "", "Cookie": f"{name}={token}"}) == (
            401,
            "AUTH_001",
        )
