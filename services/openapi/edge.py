# SPDX-License-Identifier: Apache-2.0
"""Serves the document, compressed for those who accept that; it holds nothing that anybody may not know."""

from __future__ import annotations

from core.errors import FuroshikiError
from services.edge.context import Principal
from services.edge.http import JSON, Exchange
from services.edge.interface import Problem, no_route, require_method
from services.openapi.document import document_json
from services.openapi.service import PATH
from services.rest_v1.errors import problem


class OpenApi:
    """The edge of one path."""

    prefix = PATH

    def __init__(self) -> None:
        self._document = document_json()

    async def public(self, exchange: Exchange) -> bool:
        if exchange.path != PATH:
            return False
        require_method(exchange, "GET")
        await exchange.answer_compressed(200, self._document, [JSON], least=0)
        return True

    async def handle(self, exchange: Exchange, principal: Principal) -> None:  # noqa: ARG002
        raise no_route(exchange)

    def problem(self, error: FuroshikiError, request_id: str, accept: bytes | None = None) -> Problem:
        return problem(error, request_id, accept)
