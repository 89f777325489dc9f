# SPDX-License-Identifier: Apache-2.0
"""Makes the document from the table of operations. It is the same for every tenant and every start."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

import msgspec
import orjson

from core.errors import ErrorCode
from services.edge.status import http_status
from services.openapi import answers, examples, requests, rest_v1, rest_v2, rest_v2_extensions, service
from services.openapi.headers import ALLOW, CHALLENGE, ERROR, OF_ANSWERS, REQUEST_ID, RETRY_AFTER, Header
from services.openapi.interface import ANYTHING, Answer, Content, Operation, Schema

OPERATIONS: Final = (
    *rest_v1.OPERATIONS,
    *rest_v2.OPERATIONS,
    *rest_v2_extensions.OPERATIONS,
    *service.OPERATIONS,
)

_REFERENCE: Final = "#/components/schemas/{name}"
_INDIRECT: Final = (
    requests.PackedTensor,
    answers.ModelState,
    answers.RegisteredRegion,
)  # named by hand-written schemas
_MAY_RETRY: Final = frozenset({429, 503, 504, 507})
_PARAMETERS: Final = {
    "model": ("The name of a model of the caller's tenant.", examples.MODEL),
    "version": ("The number of a version.", examples.VERSION),
    "region": ("What the region is called in requests.", "input0"),
}
_INFO: Final = {
    "title": "Furoshiki inference service",
    "version": "1",
    "summary": "Signed models over the Open Inference Protocol v2 and a short form.",
    "description": (
        "Errors carry a stable code: in the body under /v1, in the header `X-Furoshiki-Error` everywhere. "
        "What a credential does not own does not exist for it: 404."
    ),
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}
_SECURITY: Final = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "Bearer": {"type": "http", "scheme": "bearer", "description": "An API key or a JSON Web Token."},
}


@cache
def document_json() -> bytes:
    """The document as it is served."""
    return orjson.dumps(document())


def document() -> dict[str, Any]:
    """The document."""
    kinds = dict.fromkeys(kind for kind in _schemas() if isinstance(kind, type))
    references, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    known = dict(zip(kinds, references, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, known)
    return {
        "openapi": "3.1.0",
        "info": _INFO,
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "headers": {header.name: _header_out(header) for header in OF_ANSWERS},
            "securitySchemes": _SECURITY,
        },
    }


def _schemas() -> Iterable[Schema]:
    yield from _INDIRECT
    for operation in OPERATIONS:
        for content in (operation.body, operation.problem, *(answer.content for answer in operation.answers.values())):
            yield from (each.schema for each in content.values())


def _operation(operation: Operation, known: Mapping[type, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": _responses(operation, known),
    }
    text = " ".join(filter(None, (operation.description, _needs(operation))))
    if text:
        described["description"] = text
    parameters = [*map(_path_parameter, re.findall(r"\{(\w+)\}", operation.path)), *map(_header_in, operation.headers)]
    if parameters:
        described["parameters"] = parameters
    if operation.body:
        described["requestBody"] = {
            "required": operation.body_needed,
            "content": _content(operation.body, known),
        }
    if not operation.public:
        described["security"] = [{"ApiKey": []}, {"Bearer": []}]
    return described


def _needs(operation: Operation) -> str:
    return f"Needs the feature `{operation.feature.value}`." if operation.feature else ""


def _path_parameter(name: str) -> dict[str, Any]:
    description, example = _PARAMETERS[name]
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string", "minLength": 1},
        "example": example,
    }


def _header_in(header: Header) -> dict[str, Any]:
    return {
        "name": header.name,
        "in": "header",
        "required": header.always,
        "description": header.description,
        "schema": header.schema,
    }


def _responses(operation: Operation, known: Mapping[type, Any]) -> dict[str, Any]:
    responses = {status: _answer(answer, known) for status, answer in operation.answers.items()}
    codes: dict[int, dict[ErrorCode, None]] = {}
    for code in (*operation.errors, *ANYTHING):
        codes.setdefault(http_status(code), {})[code] = None
    for status, found in codes.items():
        problem = _problem(status, list(found), operation.problem, known)
        responses[status] = _either(responses[status], problem) if status in responses else problem
    return {str(status): responses[status] for status in sorted(responses)}


def _answer(answer: Answer, known: Mapping[type, Any]) -> dict[str, Any]:
    return {
        "description": answer.description,
        "headers": _headers_out((REQUEST_ID, *answer.headers)),
        "content": _content(answer.content, known),
    }


def _problem(
    status: int, codes: list[ErrorCode], content: Mapping[str, Content], known: Mapping[type, Any]
) -> dict[str, Any]:
    headers = [REQUEST_ID, ERROR]
    headers += {401: [CHALLENGE], 405: [ALLOW]}.get(status, [])
    headers += [RETRY_AFTER] if status in _MAY_RETRY else []
    return {
        "description": "; ".join(f"`{code.value}` {code.name}" for code in codes) + ".",
        "headers": _headers_out(headers),
        "content": _content(content, known),
    }


def _either(answer: dict[str, Any], problem: dict[str, Any]) -> dict[str, Any]:
    """One status that is both an answer and an error, in the same media types."""
    content = {
        media_type: {"schema": {"anyOf": [answer["content"][media_type]["schema"], described["schema"]]}}
        for media_type, described in problem["content"].items()
    }
    description = f"{answer['description']} Or: {problem['description']}"
    return {"description": description, "headers": answer["headers"], "content": content}


def _headers_out(headers: Iterable[Header]) -> dict[str, Any]:
    return {header.name: {"$ref": f"#/components/headers/{header.name}"} for header in headers}


def _header_out(header: Header) -> dict[str, Any]:
    return {"description": header.description, "required": header.always, "schema": header.schema}


def _content(content: Mapping[str, Content], known: Mapping[type, Any]) -> dict[str, Any]:
    return {media_type: _media(each, known) for media_type, each in content.items()}


def _media(content: Content, known: Mapping[type, Any]) -> dict[str, Any]:
    schema = known[content.schema] if isinstance(content.schema, type) else dict(content.schema)
    if content.description:
        schema = {**schema, "description": content.description}
    return {"schema": schema} if content.example is None else {"schema": schema, "example": content.example}
