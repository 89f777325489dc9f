# SPDX-License-Identifier: Apache-2.0
"""The short way of resolve says what the route says, to the same callers, and never what was true before a change."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from registry_api.models.repository import VersionRepository
from registry_api.models.resolving import ResolveCache, ResolveShortcut
from registry_api.models.values import Stage
from tests.integration.registry_api.rest import Api, tiny_onnx

PATH = "/api/v1/models/digits/resolve"
QUERIES = ("", "?version=1", "?version=2", "?version=3", "?version=0", "?version=x", "?alias=none")


@pytest.fixture
async def digits(api: Api) -> Api:
    """A registry with two versions of ``digits``; another tenant has one as well."""
    await api.ok("POST", "/models", json={"name": "digits"})
    for seed in (1, 2):
        await api.push("digits", {"model.onnx": tiny_onnx(seed)})
    return api


def _hits(api: Api, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each question from now on was answered the short way."""
    cache, hits = api.services.get(ResolveCache), []
    get = cache.get

    def counted(*question: Any) -> Any:
        found = get(*question)
        hits.append(found is not None)
        return found

    monkeypatch.setattr(cache, "get", counted)
    return hits


async def test_both_ways_answer_alike(digits: Api) -> None:
    """Status, body and headers of the route, of the miss and of the hit, for every caller and question."""
    admin = digits.http.headers["x-api-key"]
    await digits.ok("POST", "/tenants", json={"name": "acme"})
    callers = {
        "key": {"X-API-Key": admin},
        "bearer": {"X-API-Key": "", "Authorization": f"Bearer {admin}"},
        "viewer": {"X-API-Key": await digits.key("viewer")},
        "user": {"X-API-Key": await digits.key("user")},
        "service": {"X-API-Key": await digits.key("service"), "X-Furoshiki-Tenant": "default"},
        "acting without the role": {"X-API-Key": await digits.key("viewer"), "X-Furoshiki-Tenant": "acme"},
        "foreign": {"X-API-Key": await digits.key("viewer", tenant="acme")},
        "nobody": {"X-API-Key": ""},
        "wrong": {"X-API-Key": "furo_0000000000000000_wrong"},
    }
    statuses = {}
    for who, headers in callers.items():
        for query in QUERIES:
            miss, hit, route = await _three_ways(digits, PATH + query, {**headers, "X-Request-ID": "r"})
            assert miss == hit == route, (who, query)
            statuses[who, query] = route[0]
    assert {status for (who, _), status in statuses.items() if who == "key"} == {200, 404, 422}
    assert {statuses[who, ""] for who in ("key", "bearer", "viewer", "service")} == {200}
    refused = ("user", "acting without the role", "foreign", "nobody", "wrong")
    assert [statuses[who, ""] for who in refused] == [403, 403, 404, 401, 401]


async def _three_ways(api: Api, url: str, headers: dict[str, str]) -> list[tuple[Any, ...]]:
    """The answer of a miss, of what should be a hit, and of the route alone."""
    cache = api.services.get(ResolveCache)
    cache.forget(None)
    answers = [await api.http.get(url, headers=headers) for _ in range(2)]
    cache.forget(None)
    seconds, cache._seconds = cache._seconds, 0.0
    answers.append(await api.http.get(url, headers=headers))
    cache._seconds = seconds
    return [(answer.status_code, answer.content, sorted(answer.headers.items())) for answer in answers]


async def test_the_second_question_takes_the_short_way(digits: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A miss, then hits; with the ETag a 304; errors are never kept."""
    hits = _hits(digits, monkeypatch)
    first = await digits.http.get(PATH)
    again = await digits.http.get(PATH, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for _ in range(2):
        await digits.http.get(f"{PATH}?version=9")
    assert hits == [False, True, False, False]


async def test_every_change_counts_at_once(digits: Api) -> None:
    """A stage, an upload, a tag: the next question knows, for every way to ask."""

    async def version() -> int:
        return int((await digits.ok("GET", "/models/digits/resolve"))["version"])

    assert await version() == 2
    for before, after in ((Stage.DEVELOPMENT, Stage.STAGING), (Stage.STAGING, Stage.PRODUCTION)):
        async with digits.platform.db.write("default") as session:
            assert await VersionRepository(session, "default").set_stage("digits", 1, before=before, after=after)
    assert await version() == 1
    await digits.ok("PATCH", "/models/digits/versions/1", json={"tags": ["live"]})
    assert (await digits.ok("GET", "/models/digits/resolve"))["tags"] == ["live"]
    await digits.push("digits", {"model.onnx": tiny_onnx(3)})
    assert (await digits.ok("GET", "/models/digits/resolve?version=3"))["version"] == 3


async def test_a_change_that_is_rolled_back_forgets_nothing(digits: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only commits count."""
    hits = _hits(digits, monkeypatch)
    await digits.http.get(PATH)
    with suppress(RuntimeError):
        async with digits.platform.db.write("default") as session:
            versions = VersionRepository(session, "default")
            assert await versions.set_stage("digits", 1, before=Stage.DEVELOPMENT, after=Stage.STAGING)
            raise RuntimeError("no")
    await digits.http.get(PATH)
    assert hits == [False, True]


async def test_an_answer_that_was_overtaken_is_not_kept(digits: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The route reads, a stage moves and commits, then the answer arrives: the next question asks again."""
    read, moved = asyncio.Event(), asyncio.Event()
    newest = VersionRepository.newest

    async def slow(self: VersionRepository, model: str) -> Any:
        found = await newest(self, model)
        read.set()
        await moved.wait()
        return found

    monkeypatch.setattr(VersionRepository, "newest", slow)
    asked = asyncio.create_task(digits.http.get(PATH))
    await read.wait()
    for before, after in ((Stage.DEVELOPMENT, Stage.STAGING), (Stage.STAGING, Stage.PRODUCTION)):
        async with digits.platform.db.write("default") as session:
            await VersionRepository(session, "default").set_stage("digits", 1, before=before, after=after)
    moved.set()
    assert (await asked).json()["version"] == 2
    assert (await digits.ok("GET", "/models/digits/resolve"))["version"] == 1


def test_the_short_way_knows_its_path_only() -> None:
    """Nothing but one model name stands between prefix and ``resolve``."""
    path = ResolveShortcut(None, prefix="/api/v1", services=None)._path  # type: ignore[arg-type]
    assert path.fullmatch("/api/v1/models/digits-v2.1/resolve")
    for other in (
        "/api/v1/models/a/b/resolve",
        "/api/v1/models//resolve",
        "/api/v1/models/A/resolve",
        "/models/a/resolve",
    ):
        assert path.fullmatch(other) is None
