# SPDX-License-Identifier: Apache-2.0
"""Model cards over HTTP."""

from __future__ import annotations

from sqlalchemy import select

from registry_api.audit.tables import AuditEntryRow
from registry_api.models.cards.repository import CardRepository
from registry_api.models.cards.values import missing_fields
from registry_api.webhooks.tables import EventRow
from tests.integration.registry_api.rest import Api, api, tiny_onnx

__all__ = ["api"]

CARD = {"fields": {"license": "MIT", "metrics": [{"name": "accuracy", "value": 0.97}]}, "body": "# digits"}


async def test_a_card_is_replaced_and_counted(api: Api) -> None:
    """Revision 0 before the first, one more with each change; the same content again is no change."""
    await api.ok("POST", "/models", json={"name": "digits"})
    empty = await api.ok("GET", "/models/digits/card")
    assert (empty["revision"], empty["fields"]["license"], empty["body"], empty["updated_by"]) == (0, None, "", None)
    put = await api.ok("PUT", "/models/digits/card", json=CARD)
    assert (put["revision"], put["fields"]["license"], put["updated_by"]) == (1, "MIT", "first admin")
    assert put["fields"]["metrics"] == [{"name": "accuracy", "value": 0.97, "dataset": None, "unit": None}]
    assert await api.ok("PUT", "/models/digits/card", json=CARD) == put == await api.ok("GET", "/models/digits/card")
    assert (await api.ok("PUT", "/models/digits/card", json={}))["revision"] == 2


async def test_a_version_has_the_models_card_until_it_has_its_own(api: Api) -> None:
    """Its own card counts alone; other versions keep the model's. Gates see the card that counts."""
    await api.ok("POST", "/models", json={"name": "digits"})
    for seed in (1, 2):
        await api.push("digits", {"model.onnx": tiny_onnx(seed)})
    await api.ok("PUT", "/models/digits/card", json=CARD)
    assert (await api.ok("GET", "/models/digits/versions/1/card"))["version"] is None
    own = await api.ok("PUT", "/models/digits/versions/1/card", json={"fields": {"license": "BSD"}})
    assert (own["version"], own["revision"], own["body"]) == (1, 1, "")
    assert (await api.ok("GET", "/models/digits/versions/2/card"))["fields"]["license"] == "MIT"
    async with api.platform.db.read("default") as session:
        cards = CardRepository(session, "default")
        one, two = await cards.find("digits", 1), await cards.find("digits", 2)
    assert missing_fields(one, ["license", "metrics", "body"]) == ["metrics", "body"]
    assert missing_fields(two, ["license", "metrics", "body"]) == []


async def test_a_change_from_an_earlier_state_is_refused(api: Api) -> None:
    """412 STATE_003 with the present ETag in the details; with that one it succeeds."""
    await api.ok("POST", "/models", json={"name": "digits"})
    stale = (await api.http.get("/api/v1/models/digits/card")).headers["etag"]
    await api.ok("PUT", "/models/digits/card", json=CARD, headers={"If-Match": stale})
    refused = await api.http.put("/api/v1/models/digits/card", json={}, headers={"If-Match": stale})
    assert (refused.status_code, refused.json()["error"]["code"]) == (412, "STATE_003")
    present = refused.json()["error"]["details"]["etag"]
    await api.ok("PUT", "/models/digits/card", json={}, headers={"If-Match": f'"other", {present}'})


async def test_who_may_not_write_or_asks_for_nothing_is_refused(api: Api) -> None:
    """A viewer reads only; unknown models, versions and other tenants' are 404."""
    await api.ok("POST", "/models", json={"name": "digits"})
    viewer = {"X-API-Key": await api.key("viewer")}
    await api.ok("GET", "/models/digits/card", headers=viewer)
    assert await api.refused("PUT", "/models/digits/card", json=CARD, headers=viewer) == (403, "AUTH_003")
    assert await api.refused("PUT", "/models/none/card", json=CARD) == (404, "MODEL_001")
    assert await api.refused("PUT", "/models/digits/versions/1/card", json=CARD) == (404, "MODEL_001")
    await api.ok("POST", "/tenants", json={"name": "acme"})
    foreign = {"X-API-Key": await api.key("developer", tenant="acme")}
    assert await api.refused("PUT", "/models/digits/card", json=CARD, headers=foreign) == (404, "MODEL_001")


async def test_a_change_is_in_the_history_and_told(api: Api) -> None:
    """One entry and one event per change, with revision and digest, not the text."""
    await api.ok("POST", "/models", json={"name": "digits"})
    for _ in range(2):
        await api.ok("PUT", "/models/digits/card", json=CARD)
    async with api.platform.db.read("default") as session:
        entries = (await session.scalars(select(AuditEntryRow).where(AuditEntryRow.action == "card.changed"))).all()
        events = (await session.scalars(select(EventRow).where(EventRow.kind == "model.updated"))).all()
    assert len(entries) == len(events) == 1
    assert events[0].new is not None
    assert events[0].new["card"]["revision"] == 1
    assert events[0].new["card"]["digest"].encode() in entries[0].document
    assert b"# digits" not in entries[0].document
