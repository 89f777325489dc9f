# SPDX-License-Identifier: Apache-2.0
"""Routes of tunings."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter, Query
from fastapi.responses import Response

from artifacts.digest import digest_bytes
from core.errors import ErrorCode as E
from registry_api.http.auth import JobCreator, JobReader
from registry_api.http.fields import Digest, IdPath, NamePath, Variant, VersionPath
from registry_api.http.pagination import Page, Paging
from registry_api.http.problem import problems
from registry_api.http.services import provided
from registry_api.models.endpoints import raw
from registry_api.tunings.schemas import TuningIn, TuningOut
from registry_api.tunings.service import TuningService

Tunings: TypeAlias = Annotated[TuningService, provided(TuningService)]
VariantQuery: TypeAlias = Annotated[Variant | None, Query(description="Left out: the one that was uploaded.")]

router: Final = APIRouter(tags=["tunings"])


@router.post(
    "/tunings",
    status_code=202,
    summary="Measure a variant on the worker's machine",
    description="The answer comes at once; the work is the job `job_id`.",
    responses=problems(E.MALFORMED, E.MODEL_NOT_FOUND, E.QUOTA_EXCEEDED, E.TOO_LARGE, E.UNSUPPORTED_MEDIA_TYPE),
)
async def create_tuning(caller: JobCreator, body: TuningIn, tunings: Tunings) -> TuningOut:
    return TuningOut.of(await tunings.create(caller.tenant, body.model, version=body.version, variant=body.variant))


@router.get("/tunings", summary="List tunings, newest first", responses=problems())
async def list_tunings(caller: JobReader, paging: Paging, tunings: Tunings) -> Page[TuningOut]:
    return (await tunings.page(caller.tenant, paging)).page(TuningOut.of)


@router.get("/tunings/{tuning}", summary="Get a tuning", responses=problems(E.TUNING_NOT_FOUND))
async def get_tuning(caller: JobReader, tuning: IdPath, tunings: Tunings) -> TuningOut:
    return TuningOut.of(await tunings.get(caller.tenant, tuning))


@router.get(
    "/models/{model}/versions/{version}/tuning",
    summary="Download the newest signed tuning of a version",
    description="`tuning.json`: it belongs beside the bundle. `device` asks for one of devices of that fingerprint.",
    response_class=Response,
    responses={200: raw("application/json"), **problems(E.MODEL_NOT_FOUND, E.TUNING_NOT_FOUND)},
)
async def get_tuning_document(
    *,
    caller: JobReader,
    model: NamePath,
    version: VersionPath,
    tunings: Tunings,
    variant: VariantQuery = None,
    device: Annotated[Digest | None, Query()] = None,
) -> Response:
    data = await tunings.document(caller.tenant, model, version, variant=variant, device=device)
    return Response(data, media_type="application/json", headers={"ETag": f'"{digest_bytes(data)}"'})
