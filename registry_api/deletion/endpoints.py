# SPDX-License-Identifier: Apache-2.0
"""Routes that delete and restore versions and models."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter, Query
from fastapi.responses import Response

from core.errors import ErrorCode as E
from registry_api.deletion.schemas import RestoreIn
from registry_api.deletion.service import DeletionService, Why
from registry_api.http.access import Action
from registry_api.http.auth import Principal, allowed
from registry_api.http.etags import IfMatch, tagged
from registry_api.http.fields import Line, NamePath, VersionPath
from registry_api.http.problem import problems
from registry_api.http.services import provided
from registry_api.models.schemas import ModelOut, VersionOut

Deletions: TypeAlias = Annotated[DeletionService, provided(DeletionService)]
Deleter: TypeAlias = Annotated[Principal, allowed(Action.VERSIONS_DELETE)]
Reason: TypeAlias = Annotated[Line, Query(description="Why, for the history.")]

_DELETES: Final = problems(E.MODEL_NOT_FOUND, E.PRECONDITION_FAILED, E.STILL_USED)
_RESTORES: Final = problems(E.MODEL_NOT_FOUND, E.PRECONDITION_FAILED)

router: Final = APIRouter(tags=["deletion"])


@router.delete(
    "/models/{model}/versions/{version}",
    summary="Delete a version",
    description="It is hidden at once and can be restored until `deletion.purge_at`; the first sweep after that removes it "
    "for good. Its number is never given again. Refused while it is in PRODUCTION, an alias names it, a deployment of it "
    "has not ended or a job works on it; the details list every use and how to clear it.",
    response_model=VersionOut,
    responses=_DELETES,
)
async def delete_version(
    *, caller: Deleter, model: NamePath, version: VersionPath, reason: Reason, match: IfMatch, deletions: Deletions
) -> Response:
    why = Why(principal=caller, reason=reason, match=match)
    return tagged(VersionOut.of(await deletions.delete_version(why, model, version)))


@router.post(
    "/models/{model}/versions/{version}/restore",
    summary="Restore a deleted version",
    description="It is what it was. The version of a deleted model comes back with its model.",
    response_model=VersionOut,
    responses=_RESTORES,
)
async def restore_version(
    *, caller: Deleter, model: NamePath, version: VersionPath, body: RestoreIn, match: IfMatch, deletions: Deletions
) -> Response:
    why = Why(principal=caller, reason=body.reason, match=match)
    return tagged(VersionOut.of(await deletions.restore_version(why, model, version)))


@router.delete(
    "/models/{model}",
    summary="Delete a model with all its versions",
    description="As for a version, and refused while any version of it is used. Its name is taken until it is purged; a "
    "later model of that name goes on counting.",
    response_model=ModelOut,
    responses=_DELETES,
)
async def delete_model(
    caller: Deleter, model: NamePath, reason: Reason, match: IfMatch, deletions: Deletions
) -> Response:
    why = Why(principal=caller, reason=reason, match=match)
    return tagged(ModelOut.of(await deletions.delete_model(why, model)))


@router.post(
    "/models/{model}/restore",
    summary="Restore a deleted model",
    description="Versions that were deleted before their model stay deleted.",
    response_model=ModelOut,
    responses=_RESTORES,
)
async def restore_model(
    caller: Deleter, model: NamePath, body: RestoreIn, match: IfMatch, deletions: Deletions
) -> Response:
    why = Why(principal=caller, reason=body.reason, match=match)
    return tagged(ModelOut.of(await deletions.restore_model(why, model)))
