# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document: whole, consistent with the decoders, and reachable; that it is true is tried in integration."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest

from core.errors import ErrorCode
from runners.testing import FakeRunner
from services.edge.status import http_status
from services.openapi import requests
from services.openapi.document import OPERATIONS, document, document_json
from services.openapi.interface import Operation
from services.rest_v1.json_codec import JsonRequest
from services.rest_v1.msgpack_codec import PackedRequest, RawTensor
from services.rest_v1.negotiation import CODECS
from services.rest_v2.bodies import Change, Index, Region
from services.rest_v2.message import Input, Output, Request
from services.testing import client_of, parts

DOCUMENT = document()
EACH = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)


def described(operation: Operation) -> Any:
    return DOCUMENT["paths"][operation.path][operation.method.lower()]


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_reference_leads_somewhere() -> None:
    """No schema and no header is referred to that is not there."""
    for reference in set(references(DOCUMENT)):
        node: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_every_schema_is_one() -> None:
    """Components are JSON Schema of the draft that OpenAPI 3.1 uses."""
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_operations_are_named_once() -> None:
    """Ids are unique: generated clients make methods of them."""
    assert len({operation.id for operation in OPERATIONS}) == len(OPERATIONS)
    assert len({(operation.method, operation.path) for operation in OPERATIONS}) == len(OPERATIONS)


@EACH
def test_errors_have_the_status_of_the_edges(operation: Operation) -> None:
    """Each code stands under the status it is answered with, and 405 and 500 under every operation."""
    told = described(operation)["responses"]
    for code in (*operation.errors, ErrorCode.METHOD_NOT_ALLOWED, ErrorCode.INTERNAL):
        assert f"`{code}`" in told[str(http_status(code))]["description"]


@EACH
def test_only_public_operations_need_no_credential(operation: Operation) -> None:
    """What needs a credential says so, and tells 401 and 403."""
    told = described(operation)
    assert ("security" in told) is not operation.public
    assert ({"401", "403"} <= told["responses"].keys()) is not operation.public
    assert (operation.feature is None) or operation.feature.value in told["description"]


@EACH
async def test_every_operation_is_there(operation: Operation) -> None:
    """The path is routed, and with another method it says which is right."""
    path = re.sub(r"\{\w+\}", "x", operation.path)
    async with client_of(parts(FakeRunner(width=2))) as client:
        wrong = await client.request("PATCH", path)
    assert wrong.status_code == 405
    assert operation.method in wrong.headers["allow"].split(", ")


@EACH
def test_examples_fit_their_schemas(operation: Operation) -> None:
    """What is shown is what is described."""
    for content in described(operation).get("requestBody", {}).get("content", {}).values():
        if "example" in content:
            schema = content["schema"] | {"components": DOCUMENT["components"]}
            jsonschema.validate(content["example"], schema)


@pytest.mark.parametrize(
    ("told", "decoded"),
    [
        (requests.InferRequest, Request),
        (requests.InferInput, Input),
        (requests.InferOutput, Output),
        (requests.ShortRequest, JsonRequest),
        (requests.PackedRequest, PackedRequest),
        (requests.PackedTensor, RawTensor),
        (requests.RepositoryIndex, Index),
        (requests.RepositoryChange, Change),
        (requests.MemoryRegion, Region),
    ],
)
def test_requests_are_those_of_the_decoders(told: type, decoded: type) -> None:
    """Described and decoded requests have the same fields, need the same ones, and refuse or ignore others alike."""
    ours, theirs = msgspec.structs.fields(told), msgspec.structs.fields(decoded)
    assert [field.name for field in ours] == [field.name for field in theirs]
    assert [field.required for field in ours] == [field.required for field in theirs]
    configs = (told.__struct_config__, decoded.__struct_config__)  # type: ignore[attr-defined]
    assert configs[0].forbid_unknown_fields == configs[1].forbid_unknown_fields


def test_every_form_of_the_short_form_is_told() -> None:
    """Requests, answers and errors of ``/v1/infer`` name the media types that its codecs have."""
    told = DOCUMENT["paths"]["/v1/infer"]["post"]
    forms = {media_type.decode() for media_type in CODECS}
    assert told["requestBody"]["content"].keys() == forms
    assert all(response["content"].keys() == forms for response in told["responses"].values())


async def test_anybody_may_read_it() -> None:
    """It is served without a credential, compressed if wanted, and other methods are refused."""
    async with client_of(parts(FakeRunner(width=2))) as client:
        served = await client.get("/openapi.json")
        plain = await client.get("/openapi.json", headers={"Accept-Encoding": "identity"})
        refused: httpx.Response = await client.post("/openapi.json")
    assert served.content == plain.content == document_json()
    assert (served.headers["content-encoding"], served.headers["content-type"]) == ("gzip", "application/json")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
