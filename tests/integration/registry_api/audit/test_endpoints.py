# SPDX-License-Identifier: Apache-2.0
"""History over HTTP, and how it is written by many at once."""

from __future__ import annotations

import asyncio
import json

from artifacts.digest import digest_bytes
from registry_api.audit.service import AuditService
from tests.integration.registry_api.audit.writing import note
from tests.integration.registry_api.rest import Api


async def write(api: Api, at: int, tenant: str = "default") -> None:
    async with api.platform.db.write(tenant) as session:
        facts = {"after": {"value": at}, "reason": 'ünïcode \u2028 and "quotes"'}
        await note(session, f"model{at % 2}@{at}", tenant=tenant, **facts)


async def test_sixty_four_writers_make_one_gapless_chain_per_tenant(api: Api) -> None:
    """Of two tenants at once; each chain verifies and has every entry."""
    await api.ok("POST", "/tenants", json={"name": "globex", "display_name": "Globex"})
    audit = api.services.get(AuditService)
    before = {name: (await audit.verify(name)).entries for name in ("default", "globex")}
    await asyncio.gather(*(write(api, at, ("default", "globex")[at % 2]) for at in range(64)))
    for name in ("default", "globex"):
        verdict = await audit.verify(name)
        assert (verdict.entries, verdict.findings) == (before[name] + 32, ())
        assert verdict.signed_seq == verdict.entries


async def test_an_entry_is_there_if_and_only_if_what_it_tells_of_is(api: Api) -> None:
    """A transaction that fails leaves neither an entry nor a gap."""
    await write(api, 1)
    try:
        async with api.platform.db.write("default") as session:
            await note(session, "model@2")
            raise TimeoutError
    except TimeoutError:
        await write(api, 3)
    verdict = await api.services.get(AuditService).verify("default")
    entries = (await api.ok("GET", "/audit?action=test.done"))["items"]
    assert ([entry["subject"] for entry in entries], verdict.findings) == (["model1@3", "model1@1"], ())


async def test_history_is_listed_by_resource_and_kind_for_who_may_read_it(api: Api) -> None:
    """Newest first, page by page; a developer may not."""
    for at in range(5):
        await write(api, at)
    page = await api.ok("GET", "/audit?resource=model0&limit=2")
    assert [entry["subject"] for entry in page["items"]] == ["model0@4", "model0@2"]
    rest = await api.ok("GET", f"/audit?resource=model0&limit=2&cursor={page['next_cursor']}")
    assert [entry["subject"] for entry in rest["items"]] == ["model0@0"]
    developer = {"X-API-Key": await api.key("developer")}
    for path in ("/audit", "/audit/export", "/audit/verify"):
        assert await api.refused("GET", path, headers=developer) == (403, "AUTH_003")


async def test_an_export_is_signed_to_its_end(api: Api) -> None:
    """A header, each entry with the hash of its document, and a checkpoint of the last one."""
    for at in range(3):
        await write(api, at)
    response = await api.http.get("/api/v1/audit/export")
    header, *lines = [json.loads(line) for line in response.text.split("\n")[:-1]]
    assert (header["format"], header["tenant"]) == ("furoshiki-audit/v1", "default")
    entries = [line for line in lines if "document" in line]
    assert all(digest_bytes(line["document"].encode()) == line["hash"] for line in entries)
    assert lines[-1]["checkpoint"] == entries[-1]["seq"] == len(entries)


async def test_a_clock_that_goes_back_does_not_take_history_with_it(api: Api) -> None:
    """Entries keep their order; the time of each is at least that of the one before."""
    now = api.platform.clock.now()
    for seconds in (0, -3600):
        async with api.platform.db.write("default") as session:
            at = now.replace(hour=(now.hour + seconds // 3600) % 24)
            await note(session, "model@1", action="test.stepped", at=at)
    latest, first = (await api.ok("GET", "/audit?action=test.stepped"))["items"]
    assert latest["at"] >= first["at"]
    assert (await api.services.get(AuditService).verify("default")).findings == ()
