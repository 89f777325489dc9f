# SPDX-License-Identifier: Apache-2.0
"""Routes of conversions and their reports."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter, Query
from fastapi.responses import Response

from artifacts.digest import Digest
from core.errors import ErrorCode as E
from registry_api.conversions.routes import ConverterRoutes
from registry_api.conversions.schemas import ConversionIn, ConversionOut, RoutesOut
from registry_api.conversions.service import ConversionService
from registry_api.http.auth import JobCreator, JobReader
from registry_api.http.etags import immutable
from registry_api.http.fields import MAX_VERSION, IdPath, Name, NamePath, Variant, VersionPath
from registry_api.http.pagination import Page, Paging
from registry_api.http.problem import problems
from registry_api.http.services import provided
from registry_api.models.endpoints import raw

Conversions: TypeAlias = Annotated[ConversionService, provided(ConversionService)]
Routes: TypeAlias = Annotated[ConverterRoutes, provided(ConverterRoutes)]
Candidate: TypeAlias = Annotated[Variant | None, Query(description="Left out: the only result.")]

SVG: Final = "image/svg+xml"
STILL: Final = "default-src 'none'; style-src 'unsafe-inline'; sandbox"  # a picture that runs and fetches nothing
_REPORT_PROBLEMS: Final = problems(E.CONVERSION_NOT_FOUND, E.BLOB_CORRUPT)

router: Final = APIRouter(tags=["conversions"])


@router.post(
    "/models/{model}/versions/{version}/conversions",
    status_code=202,
    summary="Convert a version to another format or precision",
    description="The answer comes at once; the work is the job `job_id`. What it makes is compared with its source: accepted "
    "results become signed variants of the version, rejected ones keep their report.",
    responses=problems(
        *(E.MODEL_NOT_FOUND, E.CONVERSION_NOT_FOUND, E.RESOURCE_EXISTS, E.QUOTA_EXCEEDED, E.INVALID_FIELD)
    ),
)
async def create_conversion(
    caller: JobCreator, model: NamePath, version: VersionPath, body: ConversionIn, conversions: Conversions
) -> ConversionOut:
    return ConversionOut.of(
        await conversions.create(caller.tenant, model, version, variant=body.variant, plan=body.plan())
    )


@router.get("/conversions", summary="List conversions, newest first", responses=problems())
async def list_conversions(
    *,
    caller: JobReader,
    paging: Paging,
    conversions: Conversions,
    model: Annotated[Name | None, Query(description="Only of this model.")] = None,
    version: Annotated[int | None, Query(ge=1, le=MAX_VERSION, description="Only of this number.")] = None,
) -> Page[ConversionOut]:
    return (await conversions.page(caller.tenant, paging, model=model, version=version)).page(ConversionOut.of)


@router.get(
    "/conversions/routes",
    summary="List what can be converted into what",
    description="On the registry's machine; a worker elsewhere may have more or less installed.",
    responses=problems(E.TIMEOUT),
)
async def list_routes(caller: JobReader, routes: Routes) -> RoutesOut:  # noqa: ARG001 - every reader may look
    return await routes.get()


@router.get("/conversions/{conversion}", summary="Get a conversion", responses=problems(E.CONVERSION_NOT_FOUND))
async def get_conversion(caller: JobReader, conversion: IdPath, conversions: Conversions) -> ConversionOut:
    return ConversionOut.of(await conversions.get(caller.tenant, conversion))


@router.get(
    "/conversions/{conversion}/report",
    summary="Download the report of a result",
    description="How it compares with its source, and all that is needed to make it again; canonical JSON.",
    response_class=Response,
    responses={200: raw("application/json"), **_REPORT_PROBLEMS},
)
async def get_report(
    caller: JobReader, conversion: IdPath, conversions: Conversions, variant: Candidate = None
) -> Response:
    result = await conversions.result(caller.tenant, conversion, variant)
    data = await conversions.document(caller.tenant, result.report_digest)
    return _stored(data, result.report_digest, "application/json")


@router.get(
    "/conversions/{conversion}/report/signature",
    summary="Download the signature of a report",
    description="A Sigstore bundle over the digests of the report, of the result's manifest and of its source's.",
    response_class=Response,
    responses={200: raw("application/json"), **_REPORT_PROBLEMS},
)
async def get_report_signature(
    caller: JobReader, conversion: IdPath, conversions: Conversions, variant: Candidate = None
) -> Response:
    result = await conversions.result(caller.tenant, conversion, variant)
    data = await conversions.document(caller.tenant, result.report_signature_digest)
    return _stored(data, result.report_signature_digest, "application/json")


@router.get(
    "/conversions/{conversion}/report/picture",
    summary="Download the picture of a report",
    response_class=Response,
    responses={200: raw(SVG), **_REPORT_PROBLEMS},
)
async def get_report_picture(
    caller: JobReader, conversion: IdPath, conversions: Conversions, variant: Candidate = None
) -> Response:
    result = await conversions.result(caller.tenant, conversion, variant)
    data = await conversions.document(caller.tenant, result.picture_digest)
    return _stored(data, result.picture_digest, SVG)


def _stored(data: bytes, digest: Digest, media_type: str) -> Response:
    headers = {**immutable(digest), "Content-Security-Policy": STILL}
    return Response(data, media_type=media_type, headers=headers)
