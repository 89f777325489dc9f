# SPDX-License-Identifier: Apache-2.0
"""Gives every writing route of a router the header ``Idempotency-Key``, without the router's knowing.

A request is looked up only after its caller, action and body passed every check of the route, so whoever may not do a thing
learns nothing about its keys. Not covered: routes that take a file (its digest makes repeating harmless).
"""

from __future__ import annotations

import copy
import functools
import hashlib
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from core.errors import ErrorCode as E
from registry_api.http.auth import Principal
from registry_api.http.idempotency.service import Idempotency, Manner
from registry_api.http.idempotency.values import Keyed
from registry_api.http.problem import with_problems
from registry_api.http.services import services_of

KEY_HEADER: Final = "Idempotency-Key"
WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
ANSWERS_WITH_SECRETS: Final = frozenset({"create_key", "rotate_key", "create_token", "create_webhook"})
"""Operations whose answer is never kept; a test compares them with the document."""
SAME_AGAIN: Final = frozenset({"complete_upload"})
"""Operations besides ``PUT`` that give the same answer when they are done again."""

_PARAMETER: Final = "idempotency_key_of_request"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The header of a request, and the request."""

    key: str | None
    request: Request

    async def keyed(self, principal: Principal, route: str) -> Keyed:
        url, match = self.request.url, self.request.headers.get("if-match", "")
        parts = (principal.key_id, self.request.method, url.path, url.query, match)
        body = await self.request.body()
        return Keyed(
            tenant=principal.tenant,
            route=route,
            key_digest=hashlib.sha256((self.key or "").strip('"').encode()).hexdigest(),
            fingerprint=hashlib.sha256("\n".join((*parts, "")).encode() + body).hexdigest(),
        )


def _asked(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias=KEY_HEADER,
            min_length=1,
            max_length=255,
            pattern=r"^[!-~]+$",
            description="A new random text per request, such as a UUID. A repeat with the same key gets the first answer.",
        ),
    ] = None,
) -> _Asked:
    return _Asked(key=idempotency_key, request=request)


def idempotent(router: APIRouter) -> APIRouter:
    """A router with the same routes, whose writing ones take ``Idempotency-Key``."""
    twin = APIRouter()
    twin.routes.extend(_keyed(route) if _covered(route) else route for route in router.routes)
    return twin


def _covered(route: Any) -> bool:
    if not isinstance(route, APIRoute) or not route.methods & WRITES:
        return False
    takes_file = "requestBody" in (route.openapi_extra or {})
    return not takes_file and any(
        parameter.annotation is not inspect.Parameter.empty and _is_principal(parameter.annotation)
        for parameter in inspect.signature(route.endpoint, eval_str=True).parameters.values()
    )


def _is_principal(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", None) is Principal  # Annotated[Principal, allowed(...)]


def _keyed(route: APIRoute) -> APIRoute:
    twin = copy.copy(route)
    twin.endpoint = _once(route)
    codes = (E.IDEMPOTENCY_RUNNING, E.IDEMPOTENCY_UNANSWERED, E.IDEMPOTENCY_MISMATCH)
    twin.responses = with_problems(route.responses, *codes)
    return twin


def _once(route: APIRoute) -> Callable[..., Awaitable[Any]]:
    """The route's endpoint, behind the look at its key."""
    endpoint, name = route.endpoint, route.name
    adapter = TypeAdapter(route.response_model) if route.response_model is not None else None
    manner = Manner(
        again=route.methods <= {"PUT"} or name in SAME_AGAIN,
        secret=name in ANSWERS_WITH_SECRETS,
    )

    @functools.wraps(endpoint)
    async def once(**values: Any) -> Any:
        asked: _Asked = values.pop(_PARAMETER)
        if asked.key is None:
            return await endpoint(**values)
        principal = next(value for value in values.values() if isinstance(value, Principal))

        async def carry_out() -> Response:
            return _rendered(await endpoint(**values), adapter, route.status_code or 200, values)

        keyed = await asked.keyed(principal, name)
        service = services_of(asked.request).get(Idempotency)
        return await service.once(keyed, manner, carry_out)

    signature = inspect.signature(endpoint)
    asked = inspect.Parameter(_PARAMETER, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[_Asked, Depends(_asked)])
    once.__signature__ = signature.replace(parameters=_with(signature, asked))  # type: ignore[attr-defined]
    return once


def _with(signature: inspect.Signature, parameter: inspect.Parameter) -> list[inspect.Parameter]:
    return [*signature.parameters.values(), parameter]


def _rendered(result: Any, adapter: TypeAdapter[Any] | None, status: int, values: dict[str, Any]) -> Response:
    """What FastAPI would make of the endpoint's result."""
    if isinstance(result, Response):
        return result
    body = b"" if adapter is None else adapter.dump_json(result, by_alias=True)
    response = Response(body, status_code=status, media_type=None if adapter is None else "application/json")
    for given in values.values():
        if isinstance(given, Response):  # headers that the endpoint set on FastAPI's
            response.headers.raw.extend(pair for pair in given.headers.raw if pair[0] != b"content-length")
    return response
