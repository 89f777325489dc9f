# SPDX-License-Identifier: Apache-2.0
"""Routes of images. Index and blobs together are the image's OCI layout: whoever has them all can run or push it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, TypeAlias

from fastapi import APIRouter, Header, Path
from fastapi.responses import Response, StreamingResponse

from artifacts.oci.media import IMAGE_INDEX
from core.errors import ErrorCode as E
from registry_api.http.auth import JobCreator, JobReader
from registry_api.http.fields import IdPath
from registry_api.http.pagination import Page, Paging
from registry_api.http.problem import problems
from registry_api.http.services import provided
from registry_api.images.schemas import ImageIn, ImageOut
from registry_api.images.service import ImageService, finished
from registry_api.models.endpoints import raw

Images: TypeAlias = Annotated[ImageService, provided(ImageService)]
DigestPath: TypeAlias = Annotated[str, Path(pattern=r"^sha256:[0-9a-f]{64}$")]
From: TypeAlias = Annotated[
    str | None,
    Header(alias="Range", max_length=100, description="`bytes=N-` for the bytes from N on. Other ranges are ignored."),
]

_BYTES: Final = "application/octet-stream"
_FROM: Final = re.compile(r"bytes=([0-9]{1,15})-")

router: Final = APIRouter(tags=["images"])


def _partial() -> dict[str, Any]:
    documented = raw(_BYTES)
    headers = {**documented["headers"], "Content-Range": {"description": "Which.", "schema": {"type": "string"}}}
    return {**documented, "description": "The stored bytes from N on.", "headers": headers}


@router.post(
    "/images",
    status_code=202,
    summary="Make an OCI image of a Bento",
    description="The answer comes at once; the work is the job `job_id`.",
    responses=problems(
        *(E.MALFORMED, E.BUILD_NOT_FOUND, E.MODEL_NOT_FOUND, E.STATE_CONFLICT, E.QUOTA_EXCEEDED, E.TOO_LARGE),
        E.UNSUPPORTED_MEDIA_TYPE,
    ),
)
async def create_image(caller: JobCreator, body: ImageIn, images: Images) -> ImageOut:
    created = await images.create(
        caller.tenant, body.build_id, builder=body.builder, device=body.device, architecture=body.architecture
    )
    return ImageOut.of(created)


@router.get("/images", summary="List images, newest first", responses=problems())
async def list_images(caller: JobReader, paging: Paging, images: Images) -> Page[ImageOut]:
    return (await images.page(caller.tenant, paging)).page(ImageOut.of)


@router.get("/images/{image}", summary="Get an image", responses=problems(E.IMAGE_NOT_FOUND))
async def get_image(caller: JobReader, image: IdPath, images: Images) -> ImageOut:
    return ImageOut.of(await images.get(caller.tenant, image))


@router.get(
    "/images/{image}/index",
    summary="Download the index of the image's OCI layout",
    description="Its `index.json`: names the image, and the signature, SBOM, provenance and chain attached to it.",
    response_class=Response,
    responses={200: raw(IMAGE_INDEX), **problems(E.IMAGE_NOT_FOUND, E.STATE_CONFLICT, E.BLOB_CORRUPT)},
)
async def get_image_index(caller: JobReader, image: IdPath, images: Images) -> Response:
    found = await images.get(caller.tenant, image)
    headers = {"ETag": f'"{finished(found).index.digest}"'}
    return Response(await images.index(found), media_type=IMAGE_INDEX, headers=headers)


@router.get(
    "/images/{image}/blobs/{digest}",
    summary="Download a blob of the image, or of what is attached to it",
    response_class=StreamingResponse,
    responses={
        200: raw(_BYTES),
        206: _partial(),
        **problems(E.IMAGE_NOT_FOUND, E.STATE_CONFLICT, E.BLOB_NOT_FOUND, E.BLOB_CORRUPT),
    },
)
async def get_image_blob(
    caller: JobReader, image: IdPath, digest: DigestPath, images: Images, from_: From = None
) -> StreamingResponse:
    found = await images.get(caller.tenant, image)
    asked = _FROM.fullmatch(from_ or "")
    part = await images.blob(found, digest, start=0 if asked is None else int(asked[1]))
    headers = {"ETag": f'"{digest}"', "Accept-Ranges": "bytes", "Content-Length": str(part.size - part.start)}
    if part.start:
        headers["Content-Range"] = f"bytes {part.start}-{part.size - 1}/{part.size}"
    status = 206 if part.start else 200
    return StreamingResponse(part.chunks, status_code=status, media_type=_BYTES, headers=headers)
