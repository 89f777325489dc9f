# SPDX-License-Identifier: Apache-2.0
"""Routes of a version's variants: which there are, which to use, and their bytes."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response, StreamingResponse

from core.errors import ErrorCode as E
from registry_api.conversions.endpoints import STILL, SVG
from registry_api.conversions.variants.schemas import ChoiceOut, FormOut, FormsOut
from registry_api.conversions.variants.service import VariantService
from registry_api.conversions.variants.values import Objective
from registry_api.http.auth import ModelReader
from registry_api.http.etags import REVALIDATE, immutable
from registry_api.http.fields import Device, NamePath, VersionPath
from registry_api.http.problem import problems
from registry_api.http.services import provided
from registry_api.models.endpoints import OCTETS, FilePath, Models, raw, sent

Variants: TypeAlias = Annotated[VariantService, provided(VariantService)]
FormPath: TypeAlias = Annotated[str, Path(pattern=r"^[a-z0-9._-]+$", max_length=64, examples=["onnx-fp32"])]
DevicePath: TypeAlias = Annotated[str, Path(pattern=r"^[a-z0-9._-]+$", max_length=32, examples=["cpu"])]

_FORMATS: Final = r"^[a-z0-9_]+(,[a-z0-9_]+)*$"
_ROOT: Final = "/models/{model}/versions/{version}/variants"
_ONE: Final = _ROOT + "/{form}/{device}"
_PROBLEMS: Final = (E.MODEL_NOT_FOUND, E.STATE_CONFLICT, E.BLOB_CORRUPT)

router: Final = APIRouter(tags=["variants"])


@router.get(
    _ROOT,
    summary="List every form of a version",
    description="What was uploaded, what it was converted to, and what was rejected, with the reason.",
    responses=problems(E.MODEL_NOT_FOUND),
)
async def list_variants(caller: ModelReader, model: NamePath, version: VersionPath, variants: Variants) -> FormsOut:
    return FormsOut(items=[FormOut.of(form) for form in await variants.forms(caller.tenant, model, version)])


@router.get(
    _ROOT + "/choice",
    summary="Choose the form to use on a device",
    description="From the measured reports; `why` says why. `source`: what was uploaded, where that can be run.",
    responses=problems(E.MODEL_NOT_FOUND, E.STATE_CONFLICT),
)
async def choose_variant(
    *,
    caller: ModelReader,
    model: NamePath,
    version: VersionPath,
    models: Models,
    variants: Variants,
    device: Device = "cpu",
    objective: Objective = Objective.LATENCY,
    fidelity: Annotated[
        float | None, Query(ge=-1, le=1, description="The least cosine with the source's answers.")
    ] = None,
    formats: Annotated[
        str | None,
        Query(
            pattern=_FORMATS,
            max_length=200,
            description="What runs there, with commas. Left out: all formats that run.",
        ),
    ] = None,
) -> ChoiceOut:
    wanted = None if formats is None else formats.split(",")
    found = await models.version(caller.tenant, model, version)
    chosen = await variants.choice(found, device=device, objective=objective, formats=wanted, fidelity=fidelity)
    return ChoiceOut.of(chosen)


@router.get(
    _ROOT + "/picture",
    summary="Download the picture of a version's variants",
    description="What it was converted to and what was rejected, by latency, size and cosine, from the measured reports.",
    response_class=Response,
    responses={200: raw(SVG), **problems(E.MODEL_NOT_FOUND)},
)
async def get_variants_picture(
    caller: ModelReader, model: NamePath, version: VersionPath, variants: Variants
) -> Response:
    data = await variants.picture(caller.tenant, model, version)
    return Response(data, media_type=SVG, headers={"Cache-Control": REVALIDATE, "Content-Security-Policy": STILL})


@router.get(
    _ONE + "/manifest",
    summary="Download a variant's signed manifest",
    response_class=Response,
    responses={200: raw("application/json"), **problems(*_PROBLEMS)},
)
async def get_variant_manifest(
    *,
    caller: ModelReader,
    model: NamePath,
    version: VersionPath,
    form: FormPath,
    device: DevicePath,
    variants: Variants,
) -> Response:
    found = await variants.variant(caller.tenant, model, version, f"{form}/{device}")
    data = await variants.manifest(caller.tenant, found)
    return Response(data, media_type="application/json", headers=immutable(found.digest))


@router.get(
    _ONE + "/signature",
    summary="Download the signature of a variant's manifest",
    response_class=Response,
    responses={200: raw("application/json"), **problems(*_PROBLEMS)},
)
async def get_variant_signature(
    *,
    caller: ModelReader,
    model: NamePath,
    version: VersionPath,
    form: FormPath,
    device: DevicePath,
    variants: Variants,
) -> Response:
    found = await variants.variant(caller.tenant, model, version, f"{form}/{device}")
    data = await variants.signature(caller.tenant, found)
    return Response(data, media_type="application/json", headers=immutable(found.signature_digest))


@router.get(
    _ONE + "/files/{path:path}",
    summary="Download a file of a variant",
    response_class=StreamingResponse,
    responses={200: raw(OCTETS), **problems(*_PROBLEMS, E.BLOB_NOT_FOUND)},
)
async def get_variant_file(
    *,
    caller: ModelReader,
    model: NamePath,
    version: VersionPath,
    form: FormPath,
    device: DevicePath,
    path: FilePath,
    variants: Variants,
    request: Request,
) -> Response:
    found = await variants.variant(caller.tenant, model, version, f"{form}/{device}")
    content = await variants.content(caller.tenant, found, path)
    return sent(content, request)
