# SPDX-License-Identifier: Apache-2.0
"""The route of the lineage graph."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter

from core.errors import ErrorCode as E
from registry_api.http.auth import ModelReader
from registry_api.http.fields import NamePath, VersionPath
from registry_api.http.problem import problems
from registry_api.http.services import provided
from registry_api.lineage.schemas import LineageOut
from registry_api.lineage.service import LineageService

Lineages: TypeAlias = Annotated[LineageService, provided(LineageService)]

router: Final = APIRouter(tags=["lineage"])


@router.get(
    "/models/{model}/versions/{version}/lineage",
    summary="Where a version comes from and what became of it",
    description="Nodes with their digests, edges from what was first to what was made of it. At most 8 steps back and 100 "
    "tunings, builds, images and deployments each, the newest ones.",
    responses=problems(E.MODEL_NOT_FOUND, E.BLOB_NOT_FOUND, E.BLOB_CORRUPT),
)
async def get_lineage(caller: ModelReader, model: NamePath, version: VersionPath, lineages: Lineages) -> LineageOut:
    return LineageOut.of(await lineages.of(caller.tenant, model, version))
