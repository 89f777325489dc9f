# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document is complete, and true: schemathesis sends what it allows and forbids, and checks the answers.

Every check is on. What JSON Schema cannot say (data fits its shape, a shared memory object exists) is put right in those
requests that are meant to be valid, before they are sent: see :func:`put_right`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.transport.requests import REQUESTS_TRANSPORT
from schemathesis.transport.serialization import Binary

from services.openapi import examples
from services.openapi.document import document, document_json
from services.openapi.interface import BINARY, JSON
from services.rest_v1.furoshiki_v1_pb2 import InferResponse
from tests.integration.services.openapi_service import REGION, REGION_BYTES, Service, running

EXAMPLES = 15
PACKED = ("application/msgpack", "application/x-msgpack")
PROTOBUF = ("application/x-protobuf", "application/protobuf")
LENGTH = "Inference-Header-Content-Length"
DOCUMENT = document()
schema = schemathesis.openapi.from_dict(DOCUMENT)
schema.config.generation.with_security_parameters = False  # made-up credentials would win over the real one


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("openapi")) as found:
        yield found


@REQUESTS_TRANSPORT.serializer(*PACKED, *PROTOBUF)
def serialize(ctx: Any, value: Any) -> dict[str, Any]:
    """Bytes as they are; a value as MessagePack, or as JSON where it should have been bytes."""
    if isinstance(value, Binary):
        return {"data": value.data}
    try:
        packed = msgspec.msgpack.encode(_plain(value)) if ctx.case.media_type in PACKED else json.dumps(value).encode()
    except (TypeError, OverflowError, UnicodeEncodeError):
        packed = b"\xc1"  # no MessagePack and no Protobuf
    return {"data": packed}


def _plain(value: Any) -> Any:
    """A generated value with its binary parts as bytes, and integers as integers: JSON Schema takes 1.0 for one."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Binary):
        return value.data
    return int(value) if isinstance(value, float) and value.is_integer() else value


@schemathesis.deserializer(*PACKED)
def deserialize(_ctx: Any, response: Any) -> Any:
    """The answer with bytes as text: JSON Schema does not know them."""
    return _texts(msgspec.msgpack.decode(response.content))


def _texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _texts(item) for key, item in value.items()}
    return value.decode("latin-1") if isinstance(value, bytes) else value


def put_right(case: Any, service: Service) -> None:
    """Makes a request that is meant to be valid fit what there is: the model, a shared memory object, a region."""
    operation = case.operation.definition.raw["operationId"]
    if str(case.headers.get(LENGTH)) == "0":  # whatever the body is: data of the one input
        del case.headers[LENGTH]
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if operation == "v2_memory_region_status":
        service.register()
        case.path_parameters = {"region": REGION}
    elif operation == "v2_memory_region_register":
        case.body = {"key": service.memory, "byte_size": 1 + int(case.body["byte_size"]) % REGION_BYTES}
    elif operation == "v1_infer":
        _replace_body(case, _short(case.body, case.media_type))
    elif operation.endswith("_infer"):
        _infer(case)


def _replace_body(case: Any, body: Any) -> None:
    """Past the case's own bookkeeping, which takes any body with bytes in it for invalid."""
    case.freeze_metadata()
    object.__setattr__(case, "body", body)


def _short(body: Any, media_type: str) -> Any:
    """A request that fits the model, with as much of the generated one as can be kept."""
    if media_type in PROTOBUF:
        return Binary(examples.protobuf())
    known = len(json.dumps(body, default=repr)) % 3
    right = {
        **_plain(body),
        "inputs": _packed() if media_type in PACKED and known == 1 else examples.SHORT["inputs"],
        "outputs": ["y"] if body.get("outputs") else body.get("outputs"),
    }
    if known:
        right |= {"model": examples.MODEL, "version": None}
    if right.get("timeout_ms"):
        right["timeout_ms"] = 10_000 + right["timeout_ms"]
    return right


def _packed() -> dict[str, Any]:
    tensor = examples.packed()["inputs"]["x"]
    return {"x": {**tensor, "data": Binary(tensor["data"])}}


def _infer(case: Any) -> None:
    if case.media_type == BINARY:
        head, tail = _binary()
        case.headers[LENGTH] = str(len(head))
        _replace_body(case, Binary(head + tail))
    else:
        case.headers.pop(LENGTH, None)
        case.body = _protocol(_plain(case.body))
    if len(str(case.body)) % 3:
        case.path_parameters = {name: getattr(examples, name.upper()) for name in case.path_parameters}


def _binary() -> tuple[bytes, bytes]:
    data = examples.packed()["inputs"]["x"]["data"]
    tensor = {"name": "x", "datatype": "FP32", "shape": [2, 4], "parameters": {"binary_data_size": len(data)}}
    return json.dumps({"inputs": [tensor]}).encode(), data


def _protocol(body: Any) -> Any:
    right = {**body, "inputs": examples.PROTOCOL["inputs"]}
    if body.get("outputs"):
        parameters = body["outputs"][0].get("parameters") or {}
        binary = {name: value for name, value in parameters.items() if name == "binary_data"}
        right["outputs"] = [{"name": "y", "parameters": binary}]
    if (body.get("parameters") or {}).get("timeout"):
        right["parameters"] = {**body["parameters"], "timeout": 10_000_000}
    return right


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_documented(case: Any, service: Service) -> None:
    """Status, headers and body of each answer are in the document; bad input is refused, good input accepted."""
    put_right(case, service)
    try:
        case.call_and_validate(base_url=service.url, headers=service.headers)
    finally:
        if "unload" in case.path:
            service.load()


def requests() -> list[Any]:
    """Each operation with each media type of its request."""
    found = []
    for path, item in DOCUMENT["paths"].items():
        for verb, operation in item.items():
            content = operation.get("requestBody", {}).get("content", {None: {}})
            found += [
                pytest.param(verb, path, media_type, told.get("example"), id=f"{operation['operationId']}-{media_type}")
                for media_type, told in content.items()
            ]
    return found


@pytest.mark.parametrize(("verb", "path", "media_type", "example"), requests())
def test_every_example_is_accepted(
    service: Service, verb: str, path: str, media_type: str | None, example: Any
) -> None:
    """What the document shows as an example works as it stands."""
    service.load()
    service.register()
    region = "another" if path.endswith("/register") else REGION
    url = service.url + path.format(model=examples.MODEL, version=examples.VERSION, region=region)
    headers = service.headers | ({"Content-Type": media_type} if media_type else {})
    body: bytes | None = None if example is None else json.dumps(example).encode()
    if media_type in PACKED:
        body = msgspec.msgpack.encode(example)
    elif media_type in PROTOBUF:
        body = examples.protobuf()
    elif media_type == BINARY:
        head, tail = _binary()
        headers[LENGTH] = str(len(head))
        body = head + tail
    elif path.endswith("/register"):
        body = json.dumps({**example, "key": service.memory}).encode()
    response = httpx.request(verb, url, content=body, headers=headers)
    assert response.status_code == 200, response.text
    sent = response.headers["content-type"]
    assert sent in DOCUMENT["paths"][path][verb]["responses"]["200"]["content"]
    if media_type in PROTOBUF:
        assert InferResponse.FromString(response.content).model == examples.MODEL
    if path.endswith("/infer"):
        assert response.headers["x-furoshiki-model-digest"].startswith("sha256:")
    if media_type is None:
        assert sent == JSON
    service.load()


def test_the_document_is_served(service: Service) -> None:
    """Anybody may read it, at a path that is not BentoML's."""
    served = httpx.get(service.url + "/openapi.json")
    assert (served.status_code, served.json()) == (200, json.loads(document_json()))
    assert httpx.get(service.url + "/docs.json").json()["info"]["title"] != DOCUMENT["info"]["title"]
