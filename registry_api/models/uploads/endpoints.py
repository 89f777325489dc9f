# SPDX-License-Identifier: Apache-2.0
"""Routes of uploads."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, TypeAlias

from fastapi import APIRouter, Header, Path, Request

from core.errors import ErrorCode as E
from registry_api.http.auth import ModelWriter
from registry_api.http.fields import IdPath, NamePath
from registry_api.http.problem import problems
from registry_api.http.services import provided
from registry_api.models.schemas import VersionOut
from registry_api.models.uploads.registration import Registrar
from registry_api.models.uploads.schemas import UploadFileOut, UploadIn, UploadOut
from registry_api.models.uploads.service import UploadService

Uploads: TypeAlias = Annotated[UploadService, provided(UploadService)]
Registration: TypeAlias = Annotated[Registrar, provided(Registrar)]
FilePath: TypeAlias = Annotated[str, Path(min_length=1, max_length=1024, description="Path inside the upload.")]

ContentRange: TypeAlias = Annotated[
    str | None, Header(max_length=100, description="`bytes FIRST-LAST/SIZE` for a part, `bytes */SIZE` after the last.")
]

FILE_ROUTE: Final = re.compile(r"/api/v1/uploads/[^/]+/files/.+")
"""Paths whose request body is a file: streamed, and bounded by the upload's declaration."""

_RAW_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "description": "The file's bytes.",
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}

_PARTS: Final = """
A large file may be sent in parts, several at once: each with a `Content-Range` that begins at a multiple of the upload's
`part_bytes` and has that size, or ends with the file. When all are there, a request without a body and with `Content-Range:
bytes */SIZE` puts them together. After a cut, `GET` of the upload tells which parts need not be sent again; parts are kept
by tenant and digest, so another upload of the same file finds them too.
"""

router: Final = APIRouter(tags=["uploads"])


@router.post(
    "/models/{model}/uploads",
    status_code=201,
    summary="Declare the files of a new version",
    responses=problems(*(E.MODEL_NOT_FOUND, E.MODEL_INVALID, E.PATH_UNSAFE, E.QUOTA_EXCEEDED)),
)
async def create_upload(caller: ModelWriter, model: NamePath, body: UploadIn, uploads: Uploads) -> UploadOut:
    return UploadOut.of(await uploads.create(caller, body.wanted(model)))


@router.get("/uploads/{upload}", summary="See which files have arrived", responses=problems(E.UPLOAD_NOT_FOUND))
async def get_upload(caller: ModelWriter, upload: IdPath, uploads: Uploads) -> UploadOut:
    return UploadOut.of(await uploads.progress(await uploads.get(caller.tenant, upload)))


@router.put(
    "/uploads/{upload}/files/{path:path}",
    summary="Send one file, or one part of it",
    description=_PARTS,
    openapi_extra=_RAW_BODY,
    responses=problems(
        *(E.LENGTH_MISMATCH, E.UPLOAD_NOT_FOUND, E.BLOB_NOT_FOUND, E.STATE_CONFLICT, E.UPLOAD_INCOMPLETE),
        *(E.DIGEST_MISMATCH, E.TIMEOUT, E.STORE_FULL),
    ),
)
async def put_file(  # noqa: PLR0917 - each is a part of the request
    caller: ModelWriter,
    upload: IdPath,
    path: FilePath,
    request: Request,
    uploads: Uploads,
    content_range: ContentRange = None,
) -> UploadFileOut:
    announced = request.headers.get("content-length")
    length = None if announced is None else int(announced)
    return UploadFileOut.of(await uploads.receive(caller.tenant, upload, path, request.stream(), length, content_range))


@router.delete(
    "/uploads/{upload}",
    status_code=204,
    summary="Give an upload up",
    responses=problems(E.UPLOAD_NOT_FOUND, E.STATE_CONFLICT),
)
async def abort_upload(caller: ModelWriter, upload: IdPath, uploads: Uploads) -> None:
    await uploads.abort(caller.tenant, upload)


@router.post(
    "/uploads/{upload}/complete",
    status_code=201,
    summary="Register the uploaded files as the next version",
    description="Completing an upload again returns the version it became.",
    responses=problems(
        *(E.UPLOAD_NOT_FOUND, E.UPLOAD_INCOMPLETE, E.STATE_CONFLICT, E.BLOB_NOT_FOUND),
        *(E.MODEL_INVALID, E.QUEUE_FULL, E.STORE_FULL),
    ),
)
async def complete_upload(caller: ModelWriter, upload: IdPath, registrar: Registration) -> VersionOut:
    return VersionOut.of(await registrar.complete(caller, upload))
