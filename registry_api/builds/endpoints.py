# SPDX-License-Identifier: Apache-2.0
"""Routes of builds."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse

from core.errors import ErrorCode as E
from registry_api.builds.schemas import BuildIn, BuildOut
from registry_api.builds.service import BuildService, Wanted, finished
from registry_api.http.auth import JobCreator, JobReader
from registry_api.http.fields import IdPath
from registry_api.http.pagination import Page, Paging
from registry_api.http.problem import problems
from registry_api.http.services import provided
from registry_api.models.endpoints import raw

Builds: TypeAlias = Annotated[BuildService, provided(BuildService)]

_TAR: Final = "application/x-tar"

router: Final = APIRouter(tags=["builds"])


@router.post(
    "/builds",
    status_code=202,
    summary="Build a Bento of one variant",
    description="The answer comes at once; the work is the job `job_id`.",
    responses=problems(
        *(E.MALFORMED, E.MODEL_NOT_FOUND, E.STATE_CONFLICT, E.QUOTA_EXCEEDED, E.TOO_LARGE, E.UNSUPPORTED_MEDIA_TYPE)
    ),
)
async def create_build(caller: JobCreator, body: BuildIn, builds: Builds) -> BuildOut:
    wanted = Wanted(device=body.device, objective=body.objective)
    created = await builds.create(caller.tenant, body.model, version=body.version, variant=body.variant, wanted=wanted)
    return BuildOut.of(created)


@router.get("/builds", summary="List builds, newest first", responses=problems())
async def list_builds(caller: JobReader, paging: Paging, builds: Builds) -> Page[BuildOut]:
    return (await builds.page(caller.tenant, paging)).page(BuildOut.of)


@router.get("/builds/{build}", summary="Get a build", responses=problems(E.BUILD_NOT_FOUND))
async def get_build(caller: JobReader, build: IdPath, builds: Builds) -> BuildOut:
    return BuildOut.of(await builds.get(caller.tenant, build))


@router.get(
    "/builds/{build}/bento",
    summary="Download the Bento",
    description="A tar of exactly the files of the signed manifest; `bentoml import` takes it.",
    response_class=StreamingResponse,
    responses={200: raw(_TAR), **problems(E.BUILD_NOT_FOUND, E.STATE_CONFLICT, E.BLOB_CORRUPT)},
)
async def get_bento(caller: JobReader, build: IdPath, builds: Builds) -> StreamingResponse:
    found = await builds.archive(await builds.get(caller.tenant, build))
    headers = {"ETag": f'"{found.digest}"', "Content-Length": str(found.size)}
    return StreamingResponse(found.chunks, media_type=_TAR, headers=headers)


@router.get(
    "/builds/{build}/manifest",
    summary="Download the Bento's signed manifest",
    response_class=Response,
    responses={200: raw("application/json"), **problems(E.BUILD_NOT_FOUND, E.STATE_CONFLICT, E.BLOB_CORRUPT)},
)
async def get_build_manifest(caller: JobReader, build: IdPath, builds: Builds) -> Response:
    found = await builds.get(caller.tenant, build)
    return _json(await builds.manifest(found), finished(found).digest)


@router.get(
    "/builds/{build}/signature",
    summary="Download the signature of the Bento's manifest",
    response_class=Response,
    responses={200: raw("application/json"), **problems(E.BUILD_NOT_FOUND, E.STATE_CONFLICT, E.BLOB_CORRUPT)},
)
async def get_build_signature(caller: JobReader, build: IdPath, builds: Builds) -> Response:
    found = await builds.get(caller.tenant, build)
    return _json(await builds.signature(found), finished(found).signature_digest)


def _json(data: bytes, digest: str) -> Response:
    return Response(data, media_type="application/json", headers={"ETag": f'"{digest}"'})
