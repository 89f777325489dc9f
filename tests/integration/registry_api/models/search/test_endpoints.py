# SPDX-License-Identifier: Apache-2.0
"""Finding models over HTTP: one table of questions, the same answers on SQLite and on PostgreSQL."""

from __future__ import annotations

from typing import Any

import pytest

from registry_api.http.pagination import encode_cursor
from registry_api.models.repository import VersionRepository
from registry_api.models.values import Stage
from tests.integration.registry_api.rest import Api, api, tiny_onnx

__all__ = ["api"]

MODELS: list[dict[str, Any]] = [
    {"name": "digits", "description": "Handwritten digits, 8x8 pixels", "tags": ["team:vision", "demo"]},
    {"name": "digits-v2", "description": "Straße, ＭＮＩＳＴ and O'Reilly", "tags": ["team:vision"]},
    {"name": "wines", "description": "Chemistry of wines: 100% AND more", "tags": ["team:taste", "demo"]},
    {"name": "minilm", "description": "数字 sentence embeddings", "tags": ["team"]},
]
QUESTIONS: list[tuple[dict[str, Any], list[str]]] = [
    ({"q": "digits"}, ["digits", "digits-v2"]),
    ({"q": "DIGI"}, ["digits", "digits-v2"]),
    ({"q": "digits handwritten"}, ["digits"]),
    ({"q": "digit wine"}, []),
    ({"q": "igits"}, []),
    ({"q": "strasse"}, ["digits-v2"]),
    ({"q": "mnist"}, ["digits-v2"]),
    ({"q": "o'reilly"}, ["digits-v2"]),
    ({"q": "数"}, ["minilm"]),
    ({"q": "taste"}, ["wines"]),
    ({"q": "accuracy"}, ["wines"]),
    ({"q": "opt"}, ["wines"]),
    ({"q": '"AND" OR * NEAR(x)'}, []),
    ({"q": "wines AND 100%"}, ["wines"]),
    ({"q": "'; DROP TABLE models; --"}, []),
    ({"q": "%"}, []),
    ({"q": "*"}, []),
    ({"q": ""}, []),
    ({"tag": "demo"}, ["digits", "wines"]),
    ({"tag": "team"}, ["digits", "digits-v2", "minilm", "wines"]),
    ({"tag": "team:vision"}, ["digits", "digits-v2"]),
    ({"tag": "team:"}, ["minilm"]),
    ({"tag": "tea"}, []),
    ({"tag": ["team:vision", "demo"]}, ["digits"]),
    ({"stage": "DEVELOPMENT"}, ["wines"]),
    ({"stage": "PRODUCTION"}, []),
    ({"format": "onnx"}, ["wines"]),
    ({"format": "tflite"}, []),
    ({"created_after": "2020-01-01T00:00:00Z"}, ["digits", "digits-v2", "minilm", "wines"]),
    ({"created_before": "2020-01-01T00:00:00+02:00"}, []),
    ({"order": "-name"}, ["wines", "minilm", "digits-v2", "digits"]),
    ({"order": "created_at"}, ["digits", "digits-v2", "wines", "minilm"]),
    ({"order": "-created_at", "q": "digits"}, ["digits-v2", "digits"]),
    ({"order": "-updated_at"}, ["wines", "minilm", "digits-v2", "digits"]),
]


@pytest.fixture
async def models(api: Api) -> Api:
    """The models of the table; ``wines`` has a version with metadata; another tenant has the same words."""
    for model in MODELS:
        await api.ok("POST", "/models", json=model)
    await api.push("wines", {"model.onnx": tiny_onnx()}, metadata={"dataset": "optdigits", "metric": "accuracy 0.97"})
    await api.ok("POST", "/tenants", json={"name": "acme"})
    headers = {"X-API-Key": await api.key("developer", tenant="acme")}
    await api.ok("POST", "/models", json={"name": "foreign", "description": "digits wines opt"}, headers=headers)
    return api


async def test_the_table_of_questions(models: Api) -> None:
    """Each question has exactly its answer, in its order; syntax of search engines and of SQL means nothing."""
    answers = [await models.ok("GET", "/models", params=question) for question, _ in QUESTIONS]
    found = [
        (question, [item["name"] for item in answer["items"]])
        for (question, _), answer in zip(QUESTIONS, answers, strict=True)
    ]
    assert found == QUESTIONS


@pytest.mark.parametrize("order", ["name", "-name", "created_at", "-created_at", "updated_at", "-updated_at"])
async def test_every_order_is_walked_without_gaps_or_twins(models: Api, order: str) -> None:
    """Pages of one; models that are made while walking do not disturb those that were there."""
    expected = [item["name"] for item in (await models.ok("GET", "/models", params={"order": order}))["items"]]
    seen, cursor = [], None
    while True:
        page = await models.ok(
            "GET", "/models", params={"order": order, "limit": 1} | ({"cursor": cursor} if cursor else {})
        )
        seen += [item["name"] for item in page["items"]]
        if len(seen) in (1, 3):
            await models.ok("POST", "/models", json={"name": f"between-{len(seen)}"})
        if (cursor := page["next_cursor"]) is None:
            break
    assert [name for name in seen if not name.startswith("between")] == expected
    assert len(seen) == len(set(seen))


async def test_a_cursor_that_was_tampered_with_is_refused(models: Api) -> None:
    """Of another order, of another shape, beyond every time: 422 VALID_002."""
    cursor = (await models.ok("GET", "/models?limit=1"))["next_cursor"]
    assert await models.refused("GET", f"/models?order=-name&cursor={cursor}") == (422, "VALID_002")
    for key in (("created_at", "x", 1), ("created_at", 1), ("created_at", 2**62, 1), ("created_at", -(2**62), 1)):
        params = {"order": "created_at", "cursor": encode_cursor(key)}
        assert await models.refused("GET", "/models", params=params) == (422, "VALID_002")


@pytest.mark.parametrize(
    "params",
    [
        {"q": "a b c d e f g h i"},
        {"q": "x" * 201},
        {"tag": ""},
        {"tag": ["t"] * 9},
        {"order": "size"},
        {"stage": "live"},
    ],
)
async def test_a_question_that_is_none_is_refused(api: Api, params: dict[str, Any]) -> None:
    """Too many words or tags, too long, unknown orders and stages: 422 VALID_002."""
    assert await api.refused("GET", "/models", params=params) == (422, "VALID_002")


async def test_what_is_found_follows_what_is_said(models: Api) -> None:
    """Changed words and tags are found at once and the old ones no more; the newest version's words count."""
    await models.ok("PATCH", "/models/digits", json={"description": "numerals", "tags": ["team:ocr"]})
    await models.ok("PATCH", "/models/wines/versions/1", json={"tags": ["tried:yes"], "description": "gerontic"})

    async def names(**params: str) -> list[str]:
        return [item["name"] for item in (await models.ok("GET", "/models", params=params))["items"]]

    assert await names(q="numer") == ["digits"]
    assert await names(q="handwritten") == []
    assert await names(tag="team:vision") == ["digits-v2"]
    assert await names(q="gerontic tried") == ["wines"]
    await models.push("wines", {"model.onnx": tiny_onnx(1)})
    assert await names(q="gerontic") == []


async def test_versions_are_filtered_by_stage(models: Api) -> None:
    """Only those in the stage, newest first; cursors go on."""
    for seed in (1, 2):
        await models.push("wines", {"model.onnx": tiny_onnx(seed)})
    async with models.platform.db.write("default") as session:
        versions = VersionRepository(session, "default")
        assert await versions.set_stage("wines", 2, before=Stage.DEVELOPMENT, after=Stage.STAGING)
    page = await models.ok("GET", "/models/wines/versions", params={"stage": "DEVELOPMENT", "limit": 1})
    assert [item["version"] for item in page["items"]] == [3]
    more = {"stage": "DEVELOPMENT", "cursor": page["next_cursor"]}
    assert [item["version"] for item in (await models.ok("GET", "/models/wines/versions", params=more))["items"]] == [1]
