# SPDX-License-Identifier: Apache-2.0
"""Routes of stages, their history and deprecation."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter, Query

from core.errors import ErrorCode as E
from registry_api.http.access import Action
from registry_api.http.auth import ModelReader, Principal, allowed
from registry_api.http.fields import Line, Moment, NamePath, VersionPath
from registry_api.http.pagination import Page, Paging
from registry_api.http.problem import problems
from registry_api.http.services import provided
from registry_api.models.schemas import VersionOut
from registry_api.promotion.deprecation.service import DeprecationService
from registry_api.promotion.schemas import DeprecationIn, ProductionOut, RollbackIn, StageChangeOut, StageIn
from registry_api.promotion.service import PromotionService

Promotion: TypeAlias = Annotated[PromotionService, provided(PromotionService)]
Deprecations: TypeAlias = Annotated[DeprecationService, provided(DeprecationService)]
Mover: TypeAlias = Annotated[Principal, allowed(Action.STAGES_MOVE)]
Promoter: TypeAlias = Annotated[Principal, allowed(Action.STAGES_PROMOTE)]

router: Final = APIRouter(tags=["stages"])


@router.put(
    "/models/{model}/versions/{version}/stage",
    summary="Move a version to another stage",
    description="Entering PRODUCTION sends the version that was there back to STAGING. Moves into and out of "
    "PRODUCTION need the role `model-admin`. The gates of the stage must be met; a refusal lists every one that is not.",
    responses=problems(E.MODEL_NOT_FOUND, E.STATE_CONFLICT, E.GATES_UNMET),
)
async def change_stage(
    caller: Mover, model: NamePath, version: VersionPath, body: StageIn, promotion: Promotion
) -> VersionOut:
    moved = await promotion.change_stage(caller, model, version, body.stage, body.reason, override=body.override)
    return VersionOut.of(moved)


@router.post(
    "/models/{model}/rollback",
    summary="Bring back the version that was in PRODUCTION before",
    description="The present one goes back to STAGING. Only the signature is checked again, not the other gates.",
    responses=problems(E.MODEL_NOT_FOUND, E.STATE_CONFLICT, E.GATES_UNMET),
)
async def rollback(caller: Promoter, model: NamePath, body: RollbackIn, promotion: Promotion) -> VersionOut:
    return VersionOut.of(await promotion.rollback(caller, model, body.reason))


@router.get(
    "/models/{model}/history", summary="List stage changes, newest first", responses=problems(E.MODEL_NOT_FOUND)
)
async def list_history(
    caller: ModelReader, model: NamePath, paging: Paging, promotion: Promotion
) -> Page[StageChangeOut]:
    return (await promotion.history(caller.tenant, model, paging)).page(StageChangeOut.of)


@router.get(
    "/models/{model}/production",
    summary="What was in PRODUCTION at a moment, since when, by whom and why",
    responses=problems(E.MODEL_NOT_FOUND),
)
async def production_at(
    caller: ModelReader, model: NamePath, at: Annotated[Moment, Query()], promotion: Promotion
) -> ProductionOut:
    change = await promotion.production_at(caller.tenant, model, at)
    if change is None:
        return ProductionOut(model=model, at=at, version=None, since=None)
    return ProductionOut(model=model, at=at, version=change.version, since=StageChangeOut.of(change))


@router.put(
    "/models/{model}/versions/{version}/deprecation",
    summary="Say that a version is not to be used any more",
    description="Inference answers of that version carry `Deprecation` (RFC 9745) and `Sunset` (RFC 8594) from then on.",
    responses=problems(E.MODEL_NOT_FOUND),
)
async def deprecate(
    caller: Mover, model: NamePath, version: VersionPath, body: DeprecationIn, deprecations: Deprecations
) -> VersionOut:
    marked = await deprecations.deprecate(
        caller, model, version, sunset=body.sunset, message=body.message, reason=body.reason
    )
    return VersionOut.of(marked)


@router.delete(
    "/models/{model}/versions/{version}/deprecation",
    summary="Take a deprecation back",
    responses=problems(E.MODEL_NOT_FOUND),
)
async def undeprecate(
    caller: Mover,
    model: NamePath,
    version: VersionPath,
    reason: Annotated[Line, Query(description="Why, for the history.")],
    deprecations: Deprecations,
) -> VersionOut:
    return VersionOut.of(await deprecations.restore(caller, model, version, reason=reason))
