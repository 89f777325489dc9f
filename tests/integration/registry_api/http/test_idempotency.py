# SPDX-License-Identifier: Apache-2.0
"""``Idempotency-Key``: whatever is sent again, in whatever order and from wherever, is done once."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from core.clock import Clock, ManualClock
from registry_api.http.idempotency.routes import ANSWERS_WITH_SECRETS
from registry_api.http.idempotency.service import ANSWER_TIME, Idempotency
from registry_api.http.idempotency.tables import IdempotencyRow
from registry_api.http.idempotency.values import Keyed, Recorded
from registry_api.models.repository import ModelRepository
from registry_api.models.values import Model
from tests.integration.registry_api.process import RegistryProcess
from tests.integration.registry_api.rest import Api, declared, open_api, tiny_onnx

SECRETS = {"key", "secret", "token", "access_token", "plaintext", "password", "private_key"}
KEY = {"Idempotency-Key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}


async def test_a_repeat_gets_the_first_answer(api: Api) -> None:
    """Status, body and headers are the first ones, marked as replayed; only one model was made."""
    first = await api.http.post("/api/v1/models", json={"name": "digits"}, headers=KEY)
    await api.ok("PATCH", "/models/digits", json={"description": "changed since"})
    again = await api.http.post("/api/v1/models", json={"name": "digits"}, headers=KEY)
    assert (again.status_code, again.content) == (first.status_code, first.content) == (201, first.content)
    assert again.headers["content-type"] == first.headers["content-type"]
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (None, "true")
    unquoted = {"Idempotency-Key": KEY["Idempotency-Key"].strip('"')}
    assert (await api.http.post("/api/v1/models", json={"name": "digits"}, headers=unquoted)).content == first.content


async def test_the_key_of_another_request_is_refused(api: Api) -> None:
    """422 IDEMPOTENCY_001 for another body or caller; another route and another tenant have keys of their own."""
    await api.ok("POST", "/models", json={"name": "digits"}, headers=KEY)
    assert await api.refused("POST", "/models", json={"name": "other"}, headers=KEY) == (422, "IDEMPOTENCY_001")
    other = {**KEY, "X-API-Key": await api.key("developer")}
    assert await api.refused("POST", "/models", json={"name": "digits"}, headers=other) == (422, "IDEMPOTENCY_001")
    await api.ok("PATCH", "/models/digits", json={"description": "x"}, headers=KEY)
    await api.ok("POST", "/tenants", json={"name": "acme"})
    foreign = {**KEY, "X-API-Key": await api.key("developer", tenant="acme")}
    assert (await api.ok("POST", "/models", json={"name": "digits"}, headers=foreign))["tenant"] == "acme"


async def test_a_request_that_failed_is_tried_again(api: Api) -> None:
    """A refusal is not remembered: with the same key the same request succeeds once it can."""
    body = {"files": [{"path": "model.onnx", "size": 1, "digest": "sha256:" + "0" * 64}]}
    assert await api.refused("POST", "/models/late/uploads", json=body, headers=KEY) == (404, "MODEL_001")
    await api.ok("POST", "/models", json={"name": "late"})
    assert (await api.ok("POST", "/models/late/uploads", json=body, headers=KEY))["model"] == "late"


async def test_of_many_at_once_one_has_an_effect(api: Api) -> None:
    """Twenty equal uploads at once with one key: one is opened; the others get its answer or 409 IDEMPOTENCY_002."""
    await api.ok("POST", "/models", json={"name": "digits"})
    body = {"files": [{"path": "model.onnx", "size": 1, "digest": "sha256:" + "0" * 64}]}
    answers = await asyncio.gather(
        *(api.http.post("/api/v1/models/digits/uploads", json=body, headers=KEY) for _ in range(20))
    )
    opened = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    told = {answer.json()["error"]["code"] for answer in answers if answer.status_code == 409}
    assert len(opened) == 1
    assert told <= {"IDEMPOTENCY_002"}
    assert (await api.ok("POST", "/models/digits/uploads", json=body, headers=KEY))["id"] in opened


async def test_of_two_processes_that_carry_it_out_one_commits(tmp_path: Path) -> None:
    """Two applications on one database, neither of which sees the other's request: the later commit rolls back."""
    together = asyncio.Barrier(2)
    async with open_api(tmp_path / "home") as one, open_api(tmp_path / "home") as two:
        for api in (one, two):
            _look_together(api.services.get(Idempotency), together)
        body = {"name": "ci", "roles": ["developer"]}  # nothing but the Idempotency-Key forbids a second one
        answers = await asyncio.gather(*(api.http.post("/api/v1/keys", json=body, headers=KEY) for api in (one, two)))
        made = [key for key in (await one.ok("GET", "/keys"))["items"] if key["name"] == "ci"]
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert len(made) == 1


def _look_together(service: Idempotency, together: asyncio.Barrier) -> None:
    looked = service._recorded

    async def recorded(keyed: Keyed) -> Recorded | None:
        found = await looked(keyed)
        await together.wait()  # both found no record before either went on
        return found

    service._recorded = recorded  # type: ignore[method-assign]


async def test_an_answer_with_a_secret_is_not_kept(api: Api) -> None:
    """The repeat is told that the key was made; nothing of it is in the database's records; there is one key more."""
    body = {"name": "ci", "roles": ["developer"]}
    made = await api.ok("POST", "/keys", json=body, headers=KEY)
    _age(api)
    assert await api.refused("POST", "/keys", json=body, headers=KEY) == (409, "IDEMPOTENCY_003")
    assert [key["id"] for key in (await api.ok("GET", "/keys"))["items"] if key["name"] == "ci"] == [made["id"]]


async def test_every_operation_that_answers_a_secret_is_known(api: Api) -> None:
    """Operations whose answer has a field that holds a secret are exactly those whose answers are not kept."""
    document = api.app.openapi()
    found = {
        operation["operationId"]
        for item in document["paths"].values()
        for verb, operation in item.items()
        if verb != "get" and _answered_fields(document, operation) & SECRETS
    }
    assert found == ANSWERS_WITH_SECRETS


def _answered_fields(document: dict[str, Any], operation: dict[str, Any]) -> set[str]:
    answers = [answer for status, answer in operation["responses"].items() if int(status) < 300]
    schemas = [answer.get("content", {}).get("application/json", {}).get("schema", {}) for answer in answers]
    names = [schema.get("$ref", "").rpartition("/")[2] for schema in schemas]
    known = document["components"]["schemas"]
    return {field for name in names for field in known.get(name, {}).get("properties", {})}


async def test_a_lost_answer_is_not_a_second_effect(api: Api) -> None:
    """Committed without an answer: first 409 IDEMPOTENCY_002, later IDEMPOTENCY_003, or done again where that is the same."""
    clock = api.services.get(Idempotency)._clock = ManualClock()
    await api.ok("POST", "/models", json={"name": "digits"}, headers=KEY)
    card = {"body": "# digits"}
    await api.ok("PUT", "/models/digits/card", json=card, headers=KEY)
    await _lose_answers(api)
    assert await api.refused("POST", "/models", json={"name": "digits"}, headers=KEY) == (409, "IDEMPOTENCY_002")
    clock.advance(ANSWER_TIME.total_seconds() + 1)
    assert await api.refused("POST", "/models", json={"name": "digits"}, headers=KEY) == (409, "IDEMPOTENCY_003")
    assert (await api.ok("PUT", "/models/digits/card", json=card, headers=KEY))["revision"] == 1


async def test_records_expire_and_are_swept(api: Api) -> None:
    """After the time to live a key is new again, swept or not; a crowded tenant keeps its newest records."""
    await api.ok("POST", "/models", json={"name": "digits"}, headers=KEY)
    service = api.services.get(Idempotency)
    assert await service.sweep() == 0
    _age(api, timedelta(hours=25))
    assert await api.refused("POST", "/models", json={"name": "digits"}, headers=KEY) == (409, "MODEL_004")
    for number in range(3):
        await api.ok("POST", "/models", json={"name": f"m{number}"}, headers={"Idempotency-Key": f"k{number}"})
    _age(api, timedelta(hours=51))
    assert await service.sweep() == 3


@pytest.mark.parametrize("key", ["", "a" * 256, "two words"])
async def test_a_malformed_key_is_refused(api: Api, key: str) -> None:
    """Empty, too long, with a space: 422 VALID_002, and nothing is made."""
    answer = await api.refused("POST", "/models", json={"name": "digits"}, headers={"Idempotency-Key": key})
    assert answer == (422, "VALID_002")
    assert (await api.ok("GET", "/models"))["items"] == []


async def test_an_effect_that_rolls_back_leaves_no_record(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record is part of the effect's transaction: a fault after it was written takes it back."""
    add = ModelRepository.add

    async def broken(self: ModelRepository, model: Model) -> bool:
        await add(self, model)
        raise RuntimeError("disk on fire")

    monkeypatch.setattr(ModelRepository, "add", broken)
    assert (await api.http.post("/api/v1/models", json={"name": "digits"}, headers=KEY)).status_code == 500
    monkeypatch.setattr(ModelRepository, "add", add)
    assert (await api.ok("POST", "/models", json={"name": "digits"}, headers=KEY))["name"] == "digits"


@pytest.mark.fault("kill -9 of the registry while models are pushed and promoted")
def test_a_registry_killed_after_the_commit_has_done_it_once(tmp_path: Path) -> None:
    """SIGKILL between commit and answer, made certain by a lost row: the version is there once, its repeat returns it."""
    with RegistryProcess(tmp_path / "home") as process:
        files = {"model.onnx": tiny_onnx()}
        with httpx.Client(base_url=f"{process.url}/api/v1", headers=process.headers, timeout=60) as http:
            http.post("/models", json={"name": "digits"}, headers=KEY).raise_for_status()
            upload = http.post("/models/digits/uploads", json={"files": declared(files)}).json()["id"]
            http.put(f"/uploads/{upload}/files/model.onnx", content=files["model.onnx"]).raise_for_status()
            first = http.post(f"/uploads/{upload}/complete", headers=KEY).json()
        process.kill()
        with sqlite3.connect(tmp_path / "home" / "registry.db") as database:
            database.execute("UPDATE idempotency_keys SET status = NULL, applied_at = datetime('now', '-1 hour')")
        process.restart()
        with httpx.Client(base_url=f"{process.url}/api/v1", headers=process.headers, timeout=60) as http:
            again = http.post(f"/uploads/{upload}/complete", headers=KEY)
            assert (again.status_code, again.json()) == (201, first)
            assert [item["version"] for item in http.get("/models/digits/versions").json()["items"]] == [1]
            repeat = http.post("/models", json={"name": "digits"}, headers=KEY)
            assert (repeat.status_code, repeat.json()["error"]["code"]) == (409, "IDEMPOTENCY_003")


class _Later:
    """A clock that runs ahead of another one."""

    def __init__(self, clock: Clock, by: timedelta) -> None:
        self._clock, self._by = clock, by

    def now(self) -> datetime:
        return self._clock.now() + self._by

    def monotonic(self) -> float:
        return self._clock.monotonic()


def _age(api: Api, by: timedelta = timedelta(seconds=6)) -> None:
    service = api.services.get(Idempotency)
    service._clock = _Later(api.platform.clock, by)


async def _lose_answers(api: Api) -> None:
    async with api.platform.db.write("default") as session:
        await session.execute(update(IdempotencyRow).values(status=None, headers=None, body=None))
