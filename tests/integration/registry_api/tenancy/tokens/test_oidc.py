# SPDX-License-Identifier: Apache-2.0
"""Tokens of a real OpenID provider: found by discovery, checked, mapped to tenants and roles; its keys rotate."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from deploy.local.components.oidc import AUDIENCE, CLIENT, SCOPES, Provider
from deploy.local.components.oidc import oidc as another
from deploy.local.components.oidc_person import sign_in
from furoshiki.cli.callback import listening
from furoshiki.oidc import Attempt, Grant, discover
from registry_api.http.access import Role
from registry_api.settings.identity import OidcIssuer, OidcSettings
from tests.integration.registry_api.rest import Api, open_api

REFUSED = (401, "AUTH_002")


def log_in(provider: Provider, login: str) -> Grant:
    """The code + PKCE flow, as ``furo login --oidc`` goes through it, with a person at the browser."""
    endpoints, attempt = discover(provider.issuer), Attempt(client_id=CLIENT)
    with listening() as listener:
        address = attempt.url(endpoints, redirect_uri=listener.redirect_uri, scopes=SCOPES)
        person = threading.Thread(target=sign_in, args=(address,), kwargs={"login": login})
        person.start()
        code = attempt.code(listener.wait(20), endpoints)
        person.join()
        return attempt.redeem(code, endpoints, redirect_uri=listener.redirect_uri)


async def as_person(provider: Provider, login: str) -> dict[str, str]:
    grant = await asyncio.to_thread(log_in, provider, login)
    return {"X-API-Key": "", "Authorization": f"Bearer {grant.id_token}"}


async def as_service(provider: Provider) -> dict[str, str]:
    token = await asyncio.to_thread(provider.service_token)
    return {"X-API-Key": "", "Authorization": f"Bearer {token}"}


async def test_a_services_token_has_the_roles_of_its_groups(trusting: Api, oidc: Provider) -> None:
    """Client credentials: found by discovery, its group is worth ``viewer`` here, and nothing more."""
    service = await as_service(oidc)
    me = await trusting.ok("GET", "/whoami", headers=service)
    assert (me["tenant"], me["name"], me["roles"]) == ("default", "svc@corp", ["viewer"])
    await trusting.ok("GET", "/models", headers=service)
    assert await trusting.refused("POST", "/models", json={"name": "x"}, headers=service) == (403, "AUTH_003")


async def test_somebody_logs_in_and_exchanges_the_id_token(trusting: Api, oidc: Provider) -> None:
    """Code + PKCE; the registry's token says who it is, always under one id, and may do what the group is worth."""
    alice = await as_person(oidc, "alice")
    token = await trusting.ok("POST", "/tokens", json={}, headers=alice)
    headers = {"X-API-Key": token["token"]}
    me = await trusting.ok("GET", "/whoami", headers=headers)
    assert (me["name"], me["roles"]) == ("alice@corp", ["tenant-admin"])
    assert me["key_id"] == (await trusting.ok("GET", "/whoami", headers=alice))["key_id"]
    assert me["key_id"].startswith("u")
    await trusting.ok("POST", "/models", json={"name": "hers"}, headers=headers)
    bob = await trusting.ok("GET", "/whoami", headers=await as_person(oidc, "bob"))
    assert bob["key_id"] != me["key_id"]


async def test_groups_without_a_role_open_nothing(trusting: Api, oidc: Provider) -> None:
    """A good token of somebody nobody gave a role: 403."""
    assert await trusting.refused("GET", "/whoami", headers=await as_person(oidc, "mallory")) == (403, "AUTH_003")


async def test_a_tenant_that_does_not_exist_opens_nothing(trusting: Api, oidc: Provider) -> None:
    """Once it exists, its people are in it, and in no other."""
    await trusting.ok("POST", "/models", json={"name": "ours"})
    carol = await as_person(oidc, "carol")
    assert await trusting.refused("GET", "/models", headers=carol) == REFUSED
    await trusting.ok("POST", "/tenants", json={"name": "acme"})
    assert (await trusting.ok("GET", "/models", headers=carol))["items"] == []
    assert (await trusting.refused("GET", "/models/ours", headers=carol))[0] == 404


async def test_the_providers_keys_rotate(trusting: Api, oidc: Provider) -> None:
    """A token of the new key works at once and one of the old key still does; taken out, the old one stops."""
    old = await as_service(oidc)
    await trusting.ok("GET", "/whoami", headers=old)
    await asyncio.to_thread(oidc.rotate_keys)
    new = await as_service(oidc)
    for headers in (new, old):
        await trusting.ok("GET", "/whoami", headers=headers)
    await asyncio.to_thread(oidc.rotate_keys, drop_old=True)
    await trusting.ok("GET", "/whoami", headers=await as_service(oidc))
    async with asyncio.timeout(5):
        while (await trusting.http.get("/api/v1/whoami", headers=old)).is_success:
            await asyncio.sleep(0.05)


async def test_another_audience_tenant_or_provider_opens_nothing(tmp_path: Path, oidc: Provider) -> None:
    """What the operator did not name is not believed; a fixed tenant does not ask the claim."""
    roles = {"viewers": (Role.VIEWER,)}
    wrong = OidcIssuer(issuer=oidc.issuer, audience=("somebody-else",), roles=roles)
    narrow = OidcIssuer(issuer=oidc.issuer, audience=(AUDIENCE,), roles=roles, tenants=("acme",))
    fixed = OidcIssuer(issuer=oidc.issuer, audience=(AUDIENCE,), roles=roles, tenant="default", tenant_claim="none")
    service = await as_service(oidc)
    for at, issuers in enumerate(({"corp": wrong}, {"corp": narrow}, {})):
        async with open_api(tmp_path / str(at), oidc=OidcSettings(issuers=issuers)) as api:
            assert await api.refused("GET", "/whoami", headers=service) == REFUSED
    async with open_api(tmp_path / "fixed", oidc=OidcSettings(issuers={"corp": fixed})) as api:
        assert (await api.ok("GET", "/whoami", headers=service))["tenant"] == "default"


async def test_a_provider_that_is_away_does_not_stop_the_others(tmp_path: Path) -> None:
    """Its own tokens get a retryable 503; keys and the registry's tokens work on."""
    with another(tmp_path) as provider:
        token = provider.service_token()
    corp = OidcIssuer(issuer=provider.issuer, audience=(AUDIENCE,), roles={"viewers": (Role.VIEWER,)})
    async with open_api(tmp_path / "home", oidc=OidcSettings(issuers={"corp": corp})) as api:
        headers = {"X-API-Key": "", "Authorization": f"Bearer {token}"}
        assert await api.refused("GET", "/whoami", headers=headers) == (503, "STORE_001")
        own = (await api.ok("POST", "/tokens", json={}))["token"]
        await api.ok("GET", "/whoami", headers={"X-API-Key": own})


async def test_the_registry_tells_where_one_logs_in(trusting: Api, oidc: Provider) -> None:
    """To anybody: the providers that have a client for the command line, and nothing secret."""
    told = await trusting.ok("GET", "/login", headers={"X-API-Key": ""})
    assert told == {"providers": [{"name": "corp", "issuer": oidc.issuer, "client_id": CLIENT, "scopes": SCOPES}]}
