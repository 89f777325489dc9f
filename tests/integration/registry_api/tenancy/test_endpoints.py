# SPDX-License-Identifier: Apache-2.0
"""Tenants and keys over HTTP."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.clock import rfc3339
from core.features import Feature
from registry_api.db.session import EVERY_TENANT
from registry_api.tenancy.repository import TenantRepository, find_credential
from registry_api.tenancy.uses import KeyUses
from tests.integration.registry_api.rest import Api


async def test_a_key_is_shown_once_and_stored_only_as_a_hash(api: Api) -> None:
    """The plaintext is in the answer, in no list and in no byte of the home folder; the database has its hash."""
    made = await api.ok("POST", "/keys", json={"name": "ci", "roles": ["developer", "viewer", "developer"]})
    assert made["key"].startswith(f"furo_{made['id']}_")
    secret = made["key"].rpartition("_")[2]
    assert len(bytes.fromhex(secret)) * 8 == 256
    assert (made["roles"], made["tenant"], made["expires_at"]) == (["developer", "viewer"], "default", None)
    listed = (await api.ok("GET", "/keys"))["items"]
    assert {key["name"] for key in listed} == {"first admin", "first inference service", "ci"}
    assert all("key" not in key for key in listed)
    stored = b"".join(path.read_bytes() for path in _files(api.platform.settings.home))
    assert secret.encode() not in stored
    async with api.platform.db.read(EVERY_TENANT) as session:
        found = await find_credential(session, made["id"])
    assert found is not None
    assert found.secret_hash == hashlib.sha256(bytes.fromhex(secret)).hexdigest()


def _files(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file()]


async def test_whoami_tells_what_the_credential_is(api: Api) -> None:
    """Both headers are accepted; roles are those written on the key."""
    key = await api.key("developer")
    for headers in ({"X-API-Key": key}, {"X-API-Key": "", "Authorization": f"Bearer {key}"}):
        me = await api.ok("GET", "/whoami", headers=headers)
        assert (me["tenant"], me["roles"], me["expires_at"]) == ("default", ["developer"], None)


async def test_bad_credentials_are_refused(api: Api) -> None:
    """None at all is AUTH_001; unknown, malformed and altered ones are AUTH_002, without saying which."""
    good = await api.key("viewer")
    assert await api.refused("GET", "/whoami", headers={"X-API-Key": ""}) == (401, "AUTH_001")
    altered = good[:-1] + ("0" if good[-1] != "0" else "1")
    for bad in ("x", "furo_1_2", altered, good.upper(), good + "0", f"furo_{'0' * 16}_{'0' * 64}"):
        response = await api.http.get("/api/v1/whoami", headers={"X-API-Key": bad})
        assert (response.status_code, response.json()["error"]["code"]) == (401, "AUTH_002")
        assert response.headers["www-authenticate"] == "Bearer"
        assert bad not in response.text or bad == "x"


async def test_a_revoked_key_stops_at_once(api: Api) -> None:
    """It worked before, is 401 afterwards, and cannot be revoked again."""
    made = await api.ok("POST", "/keys", json={"name": "ci", "roles": ["viewer"]})
    headers = {"X-API-Key": made["key"]}
    await api.ok("GET", "/models", headers=headers)
    await api.ok("DELETE", f"/keys/{made['id']}")
    assert await api.refused("GET", "/models", headers=headers) == (401, "AUTH_002")
    assert await api.refused("DELETE", f"/keys/{made['id']}") == (404, "KEY_001")


async def test_an_expiry_must_lie_ahead_and_have_a_zone(api: Api) -> None:
    """A past one, one without zone and a number are 422; a future one is shown in UTC."""
    future = datetime.now(UTC) + timedelta(days=1)
    body = {"name": "ci", "roles": ["viewer"]}
    made = await api.ok("POST", "/keys", json={**body, "expires_at": future.isoformat()})
    assert made["expires_at"] == rfc3339(future)
    for bad in ("2020-01-01T00:00:00Z", "2999-01-01T00:00:00", 32503680000, "0001-01-01T00:00:00+14:00"):
        assert await api.refused("POST", "/keys", json={**body, "expires_at": bad}) == (422, "VALID_002")


async def test_roles_are_enforced(api: Api) -> None:
    """Each key does what it may, and 403 otherwise."""
    read = {"X-API-Key": await api.key("viewer")}
    infer = {"X-API-Key": await api.key("user")}
    admin = {"X-API-Key": await api.key("tenant-admin")}
    platform = {"X-API-Key": await api.key("platform-admin")}
    assert await api.refused("POST", "/models", json={"name": "x"}, headers=read) == (403, "AUTH_003")
    assert await api.refused("GET", "/models", headers=infer) == (403, "AUTH_003")
    assert await api.refused("GET", "/models", headers=platform) == (403, "AUTH_003")
    assert await api.refused("GET", "/tenants", headers=admin) == (403, "AUTH_003")
    assert await api.refused("GET", "/keys", headers=read) == (403, "AUTH_003")
    await api.ok("POST", "/models", json={"name": "x"}, headers=admin)
    await api.ok("GET", "/tenants", headers=platform)


async def test_an_admin_stays_inside_its_tenant_and_cannot_give_away_the_platform(api: Api) -> None:
    """Keys of other tenants are out of reach; only the platform's administrators make more of them."""
    await api.ok("POST", "/tenants", json={"name": "acme", "display_name": "Acme Ltd"})
    acme = {"X-API-Key": await api.key("tenant-admin", tenant="acme")}
    mine = await api.ok("POST", "/keys", json={"name": "own", "roles": ["viewer"]}, headers=acme)
    assert mine["tenant"] == "acme"
    other = {"name": "x", "roles": ["viewer"], "tenant": "default"}
    assert await api.refused("POST", "/keys", json=other, headers=acme) == (403, "AUTH_003")
    wider = {"name": "x", "roles": ["platform-admin"]}
    assert await api.refused("POST", "/keys", json=wider, headers=acme) == (403, "AUTH_003")
    assert await api.refused("GET", "/keys?tenant=default", headers=acme) == (403, "AUTH_003")
    foreign = (await api.ok("GET", "/keys"))["items"][0]["id"]
    assert await api.refused("DELETE", f"/keys/{foreign}", headers=acme) == (404, "KEY_001")
    await api.ok("DELETE", f"/keys/{mine['id']}?tenant=acme")


async def test_tenants_are_made_once_and_listed(api: Api) -> None:
    """A second one of the same name is 409; an unknown one is 404; keys for an unknown tenant are 404."""
    made = await api.ok("POST", "/tenants", json={"name": "acme", "display_name": "Acme Ltd"})
    assert await api.ok("GET", "/tenants/acme") == made
    assert await api.refused("POST", "/tenants", json={"name": "acme"}) == (409, "STATE_002")
    assert [tenant["name"] for tenant in (await api.ok("GET", "/tenants"))["items"]] == ["acme", "default"]
    assert await api.refused("GET", "/tenants/nobody") == (404, "TENANT_001")
    body = {"name": "x", "roles": ["viewer"], "tenant": "nobody"}
    assert await api.refused("POST", "/keys", json=body) == (404, "TENANT_001")


NO_LIMITS = {
    "requests_per_second": None,
    "burst": None,
    "concurrent_requests": None,
    "requests_per_hour": None,
    "requests_per_day": None,
}


async def test_limits_and_features_reach_whoever_asks_who_it_is(api: Api) -> None:
    """Set for a tenant, they are in its record and in what its keys, and an inference service for it, are told."""
    made = await api.ok("POST", "/tenants", json={"name": "acme"})
    assert (made["limits"], made["features"]) == (NO_LIMITS, {})
    limits = {
        "requests_per_second": 2.5,
        "burst": 10,
        "concurrent_requests": 4,
        "requests_per_hour": 1_000,
        "requests_per_day": 2_000_000_000,
    }
    features = {"v2.repository": False, "v1.msgpack": True}
    assert (await api.ok("PUT", "/tenants/acme/limits", json=limits))["limits"] == limits
    assert (await api.ok("PUT", "/tenants/acme/features", json={"features": features}))["features"] == features
    tenant = await api.ok("GET", "/tenants/acme")
    assert (tenant["limits"], tenant["features"]) == (limits, features)
    for headers in (
        {"X-API-Key": await api.key("user", tenant="acme")},
        {"X-API-Key": await api.key("service"), "X-Furoshiki-Tenant": "acme"},
    ):
        me = await api.ok("GET", "/whoami", headers=headers)
        assert (me["tenant"], me["limits"], me["features"]) == ("acme", limits, features)
    assert (await api.ok("GET", "/whoami"))["limits"] == NO_LIMITS


async def test_setting_limits_and_features_replaces_them(api: Api) -> None:
    """What is left out, or null, is back at the service's default; 0 is a limit."""
    await api.ok("POST", "/tenants", json={"name": "acme"})
    await api.ok("PUT", "/tenants/acme/limits", json={"requests_per_second": 5, "burst": 7})
    changed = await api.ok("PUT", "/tenants/acme/limits", json={"concurrent_requests": 0, "burst": None})
    assert changed["limits"] == NO_LIMITS | {"concurrent_requests": 0}
    await api.ok("PUT", "/tenants/acme/features", json={"features": {"v2.binary": False}})
    assert (await api.ok("PUT", "/tenants/acme/features", json={"features": {}}))["features"] == {}


async def test_only_the_platform_sets_limits_and_features(api: Api) -> None:
    """Not the tenant's own admin, nor a service; and not for a tenant that is not there."""
    await api.ok("POST", "/tenants", json={"name": "acme"})
    for who in ({"X-API-Key": await api.key("tenant-admin", tenant="acme")}, {"X-API-Key": await api.key("service")}):
        assert await api.refused("PUT", "/tenants/acme/limits", json={}, headers=who) == (403, "AUTH_003")
        body: dict[str, object] = {"features": {}}
        assert await api.refused("PUT", "/tenants/acme/features", json=body, headers=who) == (403, "AUTH_003")
    assert await api.refused("PUT", "/tenants/nobody/limits", json={}) == (404, "TENANT_001")
    assert await api.refused("PUT", "/tenants/nobody/features", json={"features": {}}) == (404, "TENANT_001")


async def test_limits_that_are_none_are_refused(api: Api) -> None:
    """Negative, too large, of another type, unknown; features that are not switches or that nobody knows."""
    for bad in (
        {"requests_per_second": -1},
        {"requests_per_second": "5"},
        {"requests_per_second": 1e7},
        {"burst": 1.5},
        {"burst": True},
        {"concurrent_requests": -1},
        {"rows_per_second": 1},
    ):
        assert await api.refused("PUT", "/tenants/default/limits", json=bad) == (422, "VALID_002")
    switches: object
    for switches in ({"v2.binary": 1}, {"V2.binary": True}, {"": True}, {"a" * 64: True}, {"v2.binari": True}, []):
        body: dict[str, object] = {"features": switches}
        assert await api.refused("PUT", "/tenants/default/features", json=body) == (422, "VALID_002")


async def test_a_misspelt_feature_is_refused_with_those_there_are(api: Api) -> None:
    """The whole call, so nothing is changed; what another version stored under names of its own stays readable."""
    async with api.platform.db.write("default") as session:
        await TenantRepository(session).set_features("default", {"v9.telepathy": True})
    body = {"features": {"v2.repository": False, "v2.repositry": False}}
    reply = await api.http.put("/api/v1/tenants/default/features", json=body)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (422, "VALID_002")
    assert [field["field"] for field in error["details"]["fields"]] == ["body.features.v2.repositry.[key]"]
    assert all(f"'{feature}'" in error["message"] for feature in Feature)
    for path in ("/tenants/default", "/whoami"):
        assert (await api.ok("GET", path))["features"] == {"v9.telepathy": True}
    every = {feature.value: True for feature in Feature}
    assert (await api.ok("PUT", "/tenants/default/features", json={"features": every}))["features"] == every


async def test_a_service_for_a_tenant_that_is_not_there_is_told(api: Api) -> None:
    """Whose limits it asks for does not exist: 404, not somebody else's."""
    service = {"X-API-Key": await api.key("service"), "X-Furoshiki-Tenant": "nobody"}
    assert await api.refused("GET", "/whoami", headers=service) == (404, "TENANT_001")


async def test_each_tenant_trusts_its_own_key(api: Api) -> None:
    """Two tenants, two signing keys."""
    await api.ok("POST", "/tenants", json={"name": "acme"})
    acme = {"X-API-Key": await api.key("viewer", tenant="acme")}
    ours, theirs = await api.ok("GET", "/trust"), await api.ok("GET", "/trust", headers=acme)
    assert (ours["tenant"], theirs["tenant"]) == ("default", "acme")
    assert ours["keys"][0]["key_id"] != theirs["keys"][0]["key_id"]


async def test_an_inference_service_reads_for_the_tenant_it_names_and_nothing_more(api: Api) -> None:
    """Its key sees another tenant's models and trust but changes nothing; no other key may name a tenant."""
    await api.ok("POST", "/tenants", json={"name": "acme"})
    acme = {"X-API-Key": await api.key("tenant-admin", tenant="acme")}
    await api.ok("POST", "/models", json={"name": "digits"}, headers=acme)
    service = {"X-API-Key": await api.key("service"), "X-Furoshiki-Tenant": "acme"}
    assert [model["tenant"] for model in (await api.ok("GET", "/models", headers=service))["items"]] == ["acme"]
    assert (await api.ok("GET", "/trust", headers=service))["tenant"] == "acme"
    assert await api.refused("POST", "/models", json={"name": "x"}, headers=service) == (403, "AUTH_003")
    assert await api.refused("GET", "/keys", headers=service) == (403, "AUTH_003")
    for role in ("tenant-admin", "platform-admin", "viewer"):
        other = {"X-API-Key": await api.key(role), "X-Furoshiki-Tenant": "acme"}
        assert await api.refused("GET", "/models", headers=other) == (403, "AUTH_003")


async def test_no_signing_key_is_made_for_a_name_that_is_no_tenant(api: Api) -> None:
    """A service that names an unknown tenant gets 404 and leaves no file."""
    service = {"X-API-Key": await api.key("service"), "X-Furoshiki-Tenant": "nobody"}
    assert await api.refused("GET", "/trust", headers=service) == (404, "TENANT_001")
    assert not list(api.platform.settings.keys_dir.rglob("nobody*"))


async def test_only_the_platform_makes_keys_for_inference_services(api: Api) -> None:
    """A tenant's admin cannot give itself a key that reads other tenants."""
    admin = {"X-API-Key": await api.key("tenant-admin")}
    body = {"name": "x", "roles": ["service"]}
    assert await api.refused("POST", "/keys", json=body, headers=admin) == (403, "AUTH_003")


async def test_a_key_is_rotated_with_overlap(api: Api) -> None:
    """The key stays what it is; both secrets work, and which one is told; the change is in history, without a secret."""
    made = await api.ok("POST", "/keys", json={"name": "ci", "roles": ["viewer"]})
    rotated = await api.ok("POST", f"/keys/{made['id']}/rotate", json={"overlap_seconds": 60})
    assert (rotated["id"], rotated["roles"], rotated["name"]) == (made["id"], ["viewer"], "ci")
    assert rotated["key"] != made["key"]
    for key in (made["key"], rotated["key"]):
        await api.ok("GET", "/whoami", headers={"X-API-Key": key})
    listed = {key["id"]: key for key in (await api.ok("GET", "/keys"))["items"]}
    assert listed[made["id"]]["previous_until"] == rotated["previous_until"]
    assert "key" not in listed[made["id"]]
    await api.ok("POST", f"/keys/{made['id']}/rotate", json={"overlap_seconds": 0})
    for key in (made["key"], rotated["key"]):
        assert await api.refused("GET", "/whoami", headers={"X-API-Key": key}) == (401, "AUTH_002")
    await api.ok("DELETE", f"/keys/{made['id']}")
    assert await api.refused("POST", f"/keys/{made['id']}/rotate", json={}) == (404, "KEY_001")
    for bad in (-1, 604_801, "60", True, 1.5):
        assert await api.refused("POST", f"/keys/{made['id']}/rotate", json={"overlap_seconds": bad}) == (
            422,
            "VALID_002",
        )
    history = await api.http.get("/api/v1/audit/export")
    told = [line for line in history.text.splitlines() if made["id"] in line]
    assert [name for line in told for name in ("created", "rotated", "revoked") if f"key.{name}" in line] == [
        *("created", "rotated", "rotated", "revoked")
    ]
    assert made["key"].rpartition("_")[2] not in history.text


async def test_when_a_key_was_used_is_written_beside_the_requests(api: Api) -> None:
    """Not at its first use, but at the next write; a key that was not used has none."""
    used, idle = [await api.ok("POST", "/keys", json={"name": name, "roles": ["viewer"]}) for name in ("used", "idle")]
    before = datetime.now(UTC)
    await api.ok("GET", "/whoami", headers={"X-API-Key": used["key"]})
    await api.services.get(KeyUses).write()
    listed = {key["id"]: key["last_used_at"] for key in (await api.ok("GET", "/keys"))["items"]}
    assert listed[idle["id"]] is None
    assert abs((datetime.fromisoformat(listed[used["id"]]) - before).total_seconds()) < 10


async def test_a_tenants_admin_does_not_take_over_a_key_of_the_platform(api: Api) -> None:
    """Neither its secret by rotating it, nor its end."""
    admin = {"X-API-Key": await api.key("tenant-admin")}
    first = next(key for key in (await api.ok("GET", "/keys"))["items"] if key["name"] == "first admin")
    refused = (403, "AUTH_003")
    assert await api.refused("POST", f"/keys/{first['id']}/rotate", json={}, headers=admin) == refused
    assert await api.refused("DELETE", f"/keys/{first['id']}", headers=admin) == refused


@pytest.mark.parametrize("name", ["*", "../acme", "Acme", "a b", ""])
async def test_a_service_cannot_name_what_is_no_tenant(api: Api, name: str) -> None:
    """Neither all tenants at once nor a path: 422, before anything is looked up or a token is made."""
    service = {"X-API-Key": await api.key("service"), "X-Furoshiki-Tenant": name}
    for method, path, body in (("GET", "/models", None), ("POST", "/tokens", {})):
        assert await api.refused(method, path, json=body, headers=service) == (422, "VALID_002")


async def test_a_keyed_delivery_for_a_tenant_that_is_not_there_is_told(api: Api) -> None:
    """404, and not a fault of ours: the key cannot be kept."""
    service = {"X-API-Key": await api.key("service"), "X-Furoshiki-Tenant": "nobody", "Idempotency-Key": "k"}
    body: dict[str, object] = {"id": "0" * 32, "requests": []}
    assert await api.refused("POST", "/requests", json=body, headers=service) == (404, "TENANT_001")
