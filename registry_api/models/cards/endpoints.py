# SPDX-License-Identifier: Apache-2.0
"""Routes of model cards."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter
from fastapi.responses import Response

from core.errors import ErrorCode as E
from registry_api.http.auth import ModelReader, ModelWriter
from registry_api.http.etags import IfMatch, tagged
from registry_api.http.fields import NamePath, VersionPath
from registry_api.http.problem import problems
from registry_api.http.services import provided
from registry_api.models.cards.schemas import CardIn, CardOut
from registry_api.models.cards.service import CardService

Cards: TypeAlias = Annotated[CardService, provided(CardService)]

_CHANGES: Final = problems(E.MODEL_NOT_FOUND, E.PRECONDITION_FAILED)

router: Final = APIRouter(tags=["cards"])


@router.get("/models/{model}/card", summary="Get a model's card", responses=problems(E.MODEL_NOT_FOUND))
async def get_card(caller: ModelReader, model: NamePath, cards: Cards) -> CardOut:
    return CardOut.of(await cards.get(caller.tenant, model, None))


@router.put(
    "/models/{model}/card",
    summary="Replace a model's card",
    description="It counts for every version that has none of its own.",
    response_model=CardOut,
    responses=_CHANGES,
)
async def put_card(caller: ModelWriter, model: NamePath, body: CardIn, match: IfMatch, cards: Cards) -> Response:
    card = await cards.put(caller, model, None, fields=body.filled(), body=body.body, match=match)
    return tagged(CardOut.of(card))


@router.get(
    "/models/{model}/versions/{version}/card",
    summary="Get the card that counts for a version",
    description="Its own, else the model's.",
    responses=problems(E.MODEL_NOT_FOUND),
)
async def get_version_card(caller: ModelReader, model: NamePath, version: VersionPath, cards: Cards) -> CardOut:
    return CardOut.of(await cards.get(caller.tenant, model, version))


@router.put(
    "/models/{model}/versions/{version}/card",
    summary="Give a version a card of its own, or replace it",
    response_model=CardOut,
    responses=_CHANGES,
)
async def put_version_card(
    *, caller: ModelWriter, model: NamePath, version: VersionPath, body: CardIn, match: IfMatch, cards: Cards
) -> Response:
    card = await cards.put(caller, model, version, fields=body.filled(), body=body.body, match=match)
    return tagged(CardOut.of(card))
