# SPDX-License-Identifier: Apache-2.0
"""Operations of the protocol's extensions: model repository, statistics, shared memory."""

from __future__ import annotations

from typing import Any, Final

from core.errors import ErrorCode as E
from core.features import Feature
from services.openapi import answers, requests
from services.openapi.interface import AUTHENTICATED, BODY, JSON, MODEL, Content, Operation, Schema
from services.openapi.rest_v2 import PROBLEM, said

_REPOSITORY, _STATISTICS, _MEMORY, _CUDA = "model repository", "statistics", "shared memory", "CUDA shared memory"
_ONLY_OWN: Final = "Only what belongs to the caller's tenant."
_SWITCHED: Final = "Refused unless the operator set `FUROSHIKI_REPOSITORY__CONTROL=true`."
_ALLOWED: Final = "Refused unless the operator set `FUROSHIKI_SHARED_MEMORY__ENABLED=true`."
_NONE: Final = "There is none; answered because clients ask by habit."


def _operation(
    verb: str,
    path: str,
    name: str,
    tag: str,
    summary: str,
    *,
    answer: Schema = answers.Done,
    body: Schema | None = None,
    example: Any = None,
    errors: tuple[E, ...] = (),
    description: str = _ONLY_OWN,
    feature: Feature | None = None,
    body_needed: bool = False,
) -> Operation:
    return Operation(
        method=verb,
        path="/v2" + path,
        id=name,
        tag=tag,
        summary=summary,
        description=description,
        body={} if body is None else {JSON: Content(schema=body, example=example)},
        body_needed=body_needed,
        answers=said("Done." if answer is answers.Done else "What was found.", answer),
        errors=(*AUTHENTICATED, *errors, *(() if body is None else BODY)),
        problem=PROBLEM,
        feature=feature,
    )


REPOSITORY: Final = (
    _operation(
        "POST",
        "/repository/index",
        "v2_repository_index",
        _REPOSITORY,
        "The models of the tenant",
        answer={"type": "array", "items": {"$ref": "#/components/schemas/ModelState"}},
        body=requests.RepositoryIndex,
        example={"ready": True},
        feature=Feature.V2_REPOSITORY,
    ),
    _operation(
        "POST",
        "/repository/models/{model}/load",
        "v2_repository_load",
        _REPOSITORY,
        "Load a model's default version",
        body=requests.RepositoryChange,
        example={},
        errors=(*MODEL, E.INVALID_FIELD),
        description=_SWITCHED,
        feature=Feature.V2_REPOSITORY,
    ),
    _operation(
        "POST",
        "/repository/models/{model}/unload",
        "v2_repository_unload",
        _REPOSITORY,
        "Take a model out of memory",
        body=requests.RepositoryChange,
        example={},
        errors=(E.MODEL_NOT_FOUND, E.STATE_CONFLICT),
        description=_SWITCHED,
        feature=Feature.V2_REPOSITORY,
    ),
)

STATISTICS: Final = tuple(
    _operation(
        "GET",
        path,
        name,
        _STATISTICS,
        f"What was counted of {what}",
        answer=answers.Statistics,
        errors=errors,
        feature=Feature.V2_STATISTICS,
    )
    for path, name, what, errors in (
        ("/models/stats", "v2_statistics", "every loaded model", ()),
        ("/models/{model}/stats", "v2_model_statistics", "a model", (E.MODEL_NOT_FOUND,)),
        (
            "/models/{model}/versions/{version}/stats",
            "v2_model_version_statistics",
            "a version",
            (E.MODEL_NOT_FOUND,),
        ),
    )
)

_REGIONS: Final = {"type": "array", "items": {"$ref": "#/components/schemas/RegisteredRegion"}}


def _memory(verb: str, path: str, name: str, summary: str, **more: Any) -> Operation:
    return _operation(
        verb,
        f"/systemsharedmemory{path}",
        f"v2_memory_{name}",
        _MEMORY,
        summary,
        description=_ALLOWED,
        feature=Feature.V2_SHARED_MEMORY,
        **more,
    )


MEMORY: Final = (
    _memory("GET", "/status", "status", "The registered regions", answer=_REGIONS),
    _memory("POST", "/unregister", "unregister", "Forget every region"),
    _memory(
        "GET",
        "/region/{region}/status",
        "region_status",
        "A registered region",
        answer=_REGIONS,
        errors=(E.INVALID_FIELD,),
    ),
    _memory(
        "POST",
        "/region/{region}/register",
        "region_register",
        "Register a region",
        body=requests.MemoryRegion,
        example={"key": "/input0", "offset": 0, "byte_size": 1024},
        body_needed=True,
        errors=(E.INVALID_FIELD, E.RESOURCE_EXISTS, E.QUOTA_EXCEEDED),
    ),
    _memory("POST", "/region/{region}/unregister", "region_unregister", "Forget a region"),
    _operation(
        "GET",
        "/cudasharedmemory/status",
        "v2_cuda_status",
        _CUDA,
        "No region",
        answer={"type": "array", "maxItems": 0},
        description=_NONE,
    ),
    _operation("POST", "/cudasharedmemory/unregister", "v2_cuda_unregister", _CUDA, "Nothing to do", description=_NONE),
)

OPERATIONS: Final = (*REPOSITORY, *STATISTICS, *MEMORY)
