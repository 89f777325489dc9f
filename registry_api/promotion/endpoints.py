# SPDX-License-Identifier: Apache-2.0
"""Routes of stages and their history."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter

from core.errors import ErrorCode as E
from registry_api.http.access import Action
from registry_api.http.auth import ModelReader, Principal, allowed
from registry_api.http.fields import NamePath, VersionPath
from registry_api.http.pagination import Page, Paging
from registry_api.http.problem import problems
from registry_api.http.services import provided
from registry_api.models.schemas import VersionOut
from registry_api.promotion.schemas import StageChangeOut, StageIn
from registry_api.promotion.service import PromotionService

Promotion: TypeAlias = Annotated[PromotionService, provided(PromotionService)]
Mover: TypeAlias = Annotated[Principal, allowed(Action.STAGES_MOVE)]

router: Final = APIRouter(tags=["stages"])


@router.put(
    "/models/{model}/versions/{version}/stage",
    summary="Move a version to another stage",
    description="Entering PRODUCTION sends the version that was there back to STAGING. Moves into and out of "
    "PRODUCTION need the role `model-admin`.",
    responses=problems(E.MODEL_NOT_FOUND, E.STATE_CONFLICT),
)
async def change_stage(
    caller: Mover, model: NamePath, version: VersionPath, body: StageIn, promotion: Promotion
) -> VersionOut:
    return VersionOut.of(await promotion.change_stage(caller, model, version, body.stage, body.reason))


@router.get(
    "/models/{model}/history", summary="List stage changes, newest first", responses=problems(E.MODEL_NOT_FOUND)
)
async def list_history(
    caller: ModelReader, model: NamePath, paging: Paging, promotion: Promotion
) -> Page[StageChangeOut]:
    return (await promotion.history(caller.tenant, model, paging)).page(StageChangeOut.of)
