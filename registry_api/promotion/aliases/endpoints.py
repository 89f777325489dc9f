# SPDX-License-Identifier: Apache-2.0
"""Routes of aliases."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter, Query

from core.errors import ErrorCode as E
from registry_api.http.access import Action
from registry_api.http.auth import ModelReader, Principal, allowed
from registry_api.http.fields import AliasPath, NamePath
from registry_api.http.pagination import Page, Paging
from registry_api.http.problem import problems
from registry_api.http.services import provided
from registry_api.promotion.aliases.service import AliasMove, AliasService
from registry_api.promotion.schemas import AliasIn, AliasOut, AliasRemoval

Aliases: TypeAlias = Annotated[AliasService, provided(AliasService)]
Mover: TypeAlias = Annotated[Principal, allowed(Action.ALIASES_MOVE)]

router: Final = APIRouter(tags=["aliases"])


@router.get("/models/{model}/aliases", summary="List aliases by name", responses=problems(E.MODEL_NOT_FOUND))
async def list_aliases(caller: ModelReader, model: NamePath, paging: Paging, aliases: Aliases) -> Page[AliasOut]:
    return (await aliases.page(caller.tenant, model, paging)).page(AliasOut.of)


@router.put(
    "/models/{model}/aliases/{alias}",
    summary="Point an alias at a version",
    description="Say in `expected` where it points now. An alias with gates (`@champion`) needs what they ask for.",
    responses=problems(E.MODEL_NOT_FOUND, E.STATE_CONFLICT, E.GATES_UNMET),
)
async def move_alias(caller: Mover, model: NamePath, alias: AliasPath, body: AliasIn, aliases: Aliases) -> AliasOut:
    wanted = AliasMove(
        model=model,
        name=alias,
        version=body.version,
        expected=body.expected,
        reason=body.reason,
        override=body.override,
    )
    return AliasOut.of(await aliases.move(caller, wanted))


@router.delete(
    "/models/{model}/aliases/{alias}",
    status_code=204,
    summary="Remove an alias",
    responses=problems(E.MODEL_NOT_FOUND, E.STATE_CONFLICT),
)
async def remove_alias(
    caller: Mover, model: NamePath, alias: AliasPath, why: Annotated[AliasRemoval, Query()], aliases: Aliases
) -> None:
    await aliases.remove(caller, model, alias, expected=why.expected, reason=why.reason)
