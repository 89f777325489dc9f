# SPDX-License-Identifier: Apache-2.0
"""Routes of calibration data."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, TypeAlias

from fastapi import APIRouter, Request

from core.errors import ErrorCode as E
from registry_api.conversions.calibrations.schemas import CalibrationOut, CalibrationPath
from registry_api.conversions.calibrations.service import MAX_BYTES, CalibrationService
from registry_api.http.auth import JobReader, ModelWriter
from registry_api.http.fields import NamePath
from registry_api.http.pagination import Page, Paging
from registry_api.http.problem import problems
from registry_api.http.services import provided

Calibrations: TypeAlias = Annotated[CalibrationService, provided(CalibrationService)]

FILE_ROUTE: Final = re.compile(r"/api/v1/models/[^/]+/calibrations/[^/]+")
"""Paths whose request body is a file: streamed, and bounded by the service."""

_RAW_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "description": "The file's bytes.",
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}

router: Final = APIRouter(tags=["conversions"])


@router.put(
    "/models/{model}/calibrations/{calibration}",
    summary="Keep calibration data",
    description="An `.npz` or `.safetensors` file with an array for each input of the model, whose first axis counts rows; "
    f"`labels` may hold a class per row. At most {MAX_BYTES} bytes. It is signed and never changes.",
    openapi_extra=_RAW_BODY,
    responses=problems(E.MODEL_NOT_FOUND, E.MODEL_INVALID, E.STATE_CONFLICT, E.STORE_FULL),
)
async def put_calibration(
    caller: ModelWriter, model: NamePath, calibration: CalibrationPath, request: Request, calibrations: Calibrations
) -> CalibrationOut:
    return CalibrationOut.of(await calibrations.put(caller, model, calibration, request.stream()))


@router.get(
    "/models/{model}/calibrations",
    summary="List a model's calibration data, newest first",
    responses=problems(E.MODEL_NOT_FOUND),
)
async def list_calibrations(
    caller: JobReader, model: NamePath, paging: Paging, calibrations: Calibrations
) -> Page[CalibrationOut]:
    return (await calibrations.page(caller.tenant, model, paging)).page(CalibrationOut.of)


@router.get(
    "/models/{model}/calibrations/{calibration}",
    summary="Get calibration data's digest",
    responses=problems(E.CONVERSION_NOT_FOUND),
)
async def get_calibration(
    caller: JobReader, model: NamePath, calibration: CalibrationPath, calibrations: Calibrations
) -> CalibrationOut:
    return CalibrationOut.of(await calibrations.get(caller.tenant, model, calibration))
