# SPDX-License-Identifier: Apache-2.0
"""Routes of models and versions."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response, StreamingResponse

from artifacts.digest import Digest
from core.errors import ErrorCode as E
from registry_api.http.auth import ModelReader, ModelWriter
from registry_api.http.fields import MAX_VERSION, NamePath, VersionPath
from registry_api.http.pagination import Page, Paging
from registry_api.http.problem import problems
from registry_api.http.services import provided
from registry_api.models.schemas import ModelIn, ModelOut, VersionOut
from registry_api.models.service import ModelService

Models: TypeAlias = Annotated[ModelService, provided(ModelService)]
FilePath: TypeAlias = Annotated[str, Path(min_length=1, max_length=1024, description="Path inside the version.")]

OCTETS: Final = "application/octet-stream"

router: Final = APIRouter(tags=["models"])


def raw(media_type: str) -> dict[str, Any]:
    """The documentation of a response of raw bytes."""
    schema = {"type": "object"} if media_type == "application/json" else {"type": "string", "format": "binary"}
    return {
        "description": "The stored bytes.",
        "headers": {"ETag": {"description": "Their digest.", "schema": {"type": "string"}}},
        "content": {media_type: {"schema": schema}},
    }


@router.post(
    "/models",
    status_code=201,
    summary="Make a model",
    responses=problems(E.MODEL_EXISTS),
)
async def create_model(caller: ModelWriter, body: ModelIn, models: Models) -> ModelOut:
    model = await models.create(caller.tenant, body.name, description=body.description, tags=body.tags)
    return ModelOut.of(model)


@router.get("/models", summary="List models by name", responses=problems())
async def list_models(caller: ModelReader, paging: Paging, models: Models) -> Page[ModelOut]:
    return (await models.page(caller.tenant, paging)).page(ModelOut.of)


@router.get("/models/{model}", summary="Get a model", responses=problems(E.MODEL_NOT_FOUND))
async def get_model(caller: ModelReader, model: NamePath, models: Models) -> ModelOut:
    return ModelOut.of(await models.get(caller.tenant, model))


@router.get("/models/{model}/versions", summary="List versions, newest first", responses=problems(E.MODEL_NOT_FOUND))
async def list_versions(caller: ModelReader, model: NamePath, paging: Paging, models: Models) -> Page[VersionOut]:
    return (await models.versions(caller.tenant, model, paging)).page(VersionOut.of)


@router.get("/models/{model}/versions/{version}", summary="Get a version", responses=problems(E.MODEL_NOT_FOUND))
async def get_version(caller: ModelReader, model: NamePath, version: VersionPath, models: Models) -> VersionOut:
    return VersionOut.of(await models.version(caller.tenant, model, version))


@router.get(
    "/models/{model}/resolve",
    summary="Find the version a caller means",
    description="The version named, else the one in PRODUCTION, else the newest.",
    responses=problems(E.MODEL_NOT_FOUND),
)
async def resolve(
    caller: ModelReader,
    model: NamePath,
    models: Models,
    version: Annotated[int | None, Query(ge=1, le=MAX_VERSION)] = None,
) -> VersionOut:
    return VersionOut.of(await models.resolve(caller.tenant, model, version))


@router.get(
    "/models/{model}/versions/{version}/manifest",
    summary="Download the signed manifest",
    response_class=Response,
    responses={200: raw("application/json"), **problems(E.MODEL_NOT_FOUND, E.BLOB_CORRUPT)},
)
async def get_manifest(caller: ModelReader, model: NamePath, version: VersionPath, models: Models) -> Response:
    found = await models.version(caller.tenant, model, version)
    return Response(await models.manifest(found), media_type="application/json", headers=_tag(found.digest))


@router.get(
    "/models/{model}/versions/{version}/signature",
    summary="Download the signature of the manifest",
    response_class=Response,
    responses={200: raw("application/json"), **problems(E.MODEL_NOT_FOUND, E.BLOB_CORRUPT)},
)
async def get_signature(caller: ModelReader, model: NamePath, version: VersionPath, models: Models) -> Response:
    found = await models.version(caller.tenant, model, version)
    return Response(await models.signature(found), media_type="application/json", headers=_tag(found.signature_digest))


@router.get(
    "/models/{model}/versions/{version}/files/{path:path}",
    summary="Download a file",
    response_class=StreamingResponse,
    responses={200: raw(OCTETS), **problems(E.MODEL_NOT_FOUND, E.BLOB_NOT_FOUND, E.BLOB_CORRUPT)},
)
async def get_file(
    caller: ModelReader, model: NamePath, version: VersionPath, path: FilePath, models: Models
) -> StreamingResponse:
    content = await models.content(await models.version(caller.tenant, model, version), path)
    headers = {**_tag(content.digest), "Content-Length": str(content.size)}
    return StreamingResponse(content.chunks, media_type=OCTETS, headers=headers)


def _tag(digest: Digest) -> dict[str, str]:
    return {"ETag": f'"{digest}"'}
