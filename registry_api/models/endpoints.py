# SPDX-License-Identifier: Apache-2.0
"""Routes of models and versions."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response, StreamingResponse

from core.errors import ErrorCode as E
from registry_api.http.auth import ModelReader, ModelWriter
from registry_api.http.etags import IfMatch, immutable, tagged, unchanged
from registry_api.http.fields import MAX_VERSION, Alias, NamePath, VersionPath
from registry_api.http.pagination import Page, Paging
from registry_api.http.problem import problems
from registry_api.http.services import provided
from registry_api.models.description import Description, DescriptionService
from registry_api.models.schemas import DescriptionIn, ModelIn, ModelOut, VersionOut
from registry_api.models.search.query import Deleted, Filter, Format
from registry_api.models.service import Content, ModelService
from registry_api.models.values import Stage

Models: TypeAlias = Annotated[ModelService, provided(ModelService)]
Descriptions: TypeAlias = Annotated[DescriptionService, provided(DescriptionService)]
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


def sent(content: Content, request: Request) -> Response:
    """A file on its way out, or 304 for a caller who has it."""
    if (same := unchanged(request, f'"{content.digest}"')) is not None:
        return same
    headers = {**immutable(content.digest), "Content-Length": str(content.size)}
    return StreamingResponse(content.chunks, media_type=OCTETS, headers=headers)


@router.post(
    "/models",
    status_code=201,
    summary="Make a model",
    responses=problems(E.MODEL_EXISTS, E.MODEL_DELETED),
)
async def create_model(caller: ModelWriter, body: ModelIn, descriptions: Descriptions) -> ModelOut:
    wanted = Description(text=body.description, tags=body.tags)
    return ModelOut.of(await descriptions.create(caller, body.name, wanted))


@router.get(
    "/models",
    summary="List and find models",
    description="Every condition must hold. A cursor belongs to its order; while models are changed, a list by "
    "`updated_at` may show one twice or not at all, the others may not.",
    responses=problems(),
)
async def list_models(caller: ModelReader, paging: Paging, wanted: Filter, models: Models) -> Page[ModelOut]:
    return (await models.page(caller.tenant, paging, wanted)).page(ModelOut.of)


@router.get("/models/{model}", summary="Get a model", responses=problems(E.MODEL_NOT_FOUND))
async def get_model(caller: ModelReader, model: NamePath, models: Models) -> ModelOut:
    return ModelOut.of(await models.get(caller.tenant, model))


@router.patch(
    "/models/{model}",
    summary="Change a model's description or tags",
    response_model=ModelOut,
    responses=problems(E.MODEL_NOT_FOUND, E.PRECONDITION_FAILED),
)
async def update_model(
    *, caller: ModelWriter, model: NamePath, body: DescriptionIn, match: IfMatch, descriptions: Descriptions
) -> Response:
    wanted = Description(text=body.description, tags=body.tags)
    return tagged(ModelOut.of(await descriptions.describe_model(caller, model, wanted, match)))


@router.get("/models/{model}/versions", summary="List versions, newest first", responses=problems(E.MODEL_NOT_FOUND))
async def list_versions(
    *,
    caller: ModelReader,
    model: NamePath,
    paging: Paging,
    models: Models,
    stage: Stage | None = None,
    format: Format | None = None,  # noqa: A002 - the API's word
    deleted: Deleted = False,
) -> Page[VersionOut]:
    found = await models.versions(caller.tenant, model, paging, stage=stage, format=format, deleted=deleted)
    return found.page(VersionOut.of)


@router.get("/models/{model}/versions/{version}", summary="Get a version", responses=problems(E.MODEL_NOT_FOUND))
async def get_version(caller: ModelReader, model: NamePath, version: VersionPath, models: Models) -> VersionOut:
    return VersionOut.of(await models.version(caller.tenant, model, version))


@router.patch(
    "/models/{model}/versions/{version}",
    summary="Change a version's description or tags",
    description="Its bytes, manifest and signature stay what they are.",
    response_model=VersionOut,
    responses=problems(E.MODEL_NOT_FOUND, E.PRECONDITION_FAILED),
)
async def update_version(
    *,
    caller: ModelWriter,
    model: NamePath,
    version: VersionPath,
    body: DescriptionIn,
    match: IfMatch,
    descriptions: Descriptions,
) -> Response:
    wanted = Description(text=body.description, tags=body.tags)
    return tagged(VersionOut.of(await descriptions.describe_version(caller, model, version, wanted, match)))


@router.get(
    "/models/{model}/resolve",
    summary="Find the version a caller means",
    description="The version named, else the one under the alias, else the one in PRODUCTION, else the newest.",
    responses=problems(E.MODEL_NOT_FOUND),
)
async def resolve(
    caller: ModelReader,
    model: NamePath,
    models: Models,
    version: Annotated[int | None, Query(ge=1, le=MAX_VERSION)] = None,
    alias: Annotated[Alias | None, Query(description="Such as `champion`; not beside `version`.")] = None,
) -> VersionOut:
    return VersionOut.of(await models.resolve(caller.tenant, model, version, alias=alias))


@router.get(
    "/models/{model}/versions/{version}/manifest",
    summary="Download the signed manifest",
    response_class=Response,
    responses={200: raw("application/json"), **problems(E.MODEL_NOT_FOUND, E.BLOB_CORRUPT)},
)
async def get_manifest(
    caller: ModelReader, model: NamePath, version: VersionPath, models: Models, request: Request
) -> Response:
    found = await models.version(caller.tenant, model, version)
    if (same := unchanged(request, f'"{found.digest}"')) is not None:
        return same
    return Response(await models.manifest(found), media_type="application/json", headers=immutable(found.digest))


@router.get(
    "/models/{model}/versions/{version}/signature",
    summary="Download the signature of the manifest",
    response_class=Response,
    responses={200: raw("application/json"), **problems(E.MODEL_NOT_FOUND, E.BLOB_CORRUPT)},
)
async def get_signature(
    caller: ModelReader, model: NamePath, version: VersionPath, models: Models, request: Request
) -> Response:
    found = await models.version(caller.tenant, model, version)
    if (same := unchanged(request, f'"{found.signature_digest}"')) is not None:
        return same
    return Response(
        await models.signature(found), media_type="application/json", headers=immutable(found.signature_digest)
    )


@router.get(
    "/models/{model}/versions/{version}/files/{path:path}",
    summary="Download a file",
    response_class=StreamingResponse,
    responses={200: raw(OCTETS), **problems(E.MODEL_NOT_FOUND, E.BLOB_NOT_FOUND, E.BLOB_CORRUPT)},
)
async def get_file(
    *, caller: ModelReader, model: NamePath, version: VersionPath, path: FilePath, models: Models, request: Request
) -> Response:
    content = await models.content(await models.version(caller.tenant, model, version), path)
    return sent(content, request)
