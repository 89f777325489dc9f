# SPDX-License-Identifier: Apache-2.0
"""Errors as the registry shows them: ``{"error": {code, message, retryable, request_id, details}}``.

The ``match`` in :func:`status_of` has no default arm: a new :class:`ErrorCode` fails type checking until it has a status
here. An exception that is not ours becomes one fixed sentence and a request id; its text goes to the log only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, assert_never

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from core.errors import ErrorCode, FuroshikiError, InvalidRequest, RequestError
from core.errors import ErrorCode as E
from core.telemetry.logs import get_logger
from registry_api.http.forms import of_nearest_form

_log = get_logger(__name__)

CLIENT_CLOSED: Final = 499  # nginx's number for a caller that went away; nobody reads it
_MAX_SHOWN: Final = 20
_FIXED: Final = "The registry failed to answer. The fault is ours; the request id finds it in the registry's log."
_EVERYWHERE: Final = (
    *(E.MALFORMED, E.AUTH_REQUIRED, E.AUTH_INVALID, E.AUTH_FORBIDDEN, E.TOO_LARGE, E.UNSUPPORTED_MEDIA_TYPE),
    *(E.TIMEOUT, E.INVALID_FIELD, E.STORE_UNAVAILABLE, E.INTERNAL),
)


class ProblemError(BaseModel):
    """What went wrong."""

    code: str = Field(description="Stable identifier.", examples=["MODEL_001"])
    message: str = Field(description="What happened, what was expected, what to do next.")
    retryable: bool = Field(description="Whether the same request may succeed later.")
    request_id: str = Field(description="Also in the header `X-Request-ID`, and in the registry's log.")
    details: dict[str, Any] = Field(description="Structured facts about this error.")


class Problem(BaseModel):
    """The body of every error response."""

    error: ProblemError


def status_of(code: ErrorCode) -> int:  # noqa: C901, PLR0911, PLR0912 - one flat, exhaustive table
    """The HTTP status that stands for ``code``."""
    match code:
        case E.MALFORMED | E.LENGTH_MISMATCH:
            return 400
        case E.AUTH_REQUIRED | E.AUTH_INVALID:
            return 401
        case E.AUTH_FORBIDDEN:
            return 403
        case E.MODEL_NOT_FOUND | E.BLOB_NOT_FOUND | E.JOB_NOT_FOUND | E.TENANT_NOT_FOUND | E.KEY_NOT_FOUND:
            return 404
        case E.UPLOAD_NOT_FOUND | E.BUILD_NOT_FOUND | E.DEPLOYMENT_NOT_FOUND | E.TUNING_NOT_FOUND | E.ROUTE_NOT_FOUND:
            return 404
        case E.APPROVAL_NOT_FOUND | E.WEBHOOK_NOT_FOUND | E.CONVERSION_NOT_FOUND | E.OCI_NOT_FOUND | E.IMAGE_NOT_FOUND:
            return 404
        case E.METHOD_NOT_ALLOWED:
            return 405
        case E.NOT_ACCEPTABLE:
            return 406
        case E.TIMEOUT:  # here the only deadlines are those of senders
            return 408
        case E.MODEL_EXISTS | E.RESOURCE_EXISTS | E.STATE_CONFLICT | E.UPLOAD_INCOMPLETE | E.JOB_LEASE_LOST:
            return 409
        case E.JOB_CANCELLED | E.GATES_UNMET | E.MODEL_DELETED | E.STILL_USED:
            return 409
        case E.IDEMPOTENCY_RUNNING | E.IDEMPOTENCY_UNANSWERED | E.OCI_TAG_MOVED:
            return 409
        case E.PRECONDITION_FAILED:
            return 412
        case E.TOO_LARGE:
            return 413
        case E.UNSUPPORTED_MEDIA_TYPE:
            return 415
        case E.INVALID_FIELD | E.MODEL_INVALID | E.TENSOR_SHAPE | E.TENSOR_DTYPE | E.TENSOR_MISSING:
            return 422
        case E.TENSOR_UNEXPECTED | E.TENSOR_DATA | E.TENSOR_REJECTED | E.PATH_UNSAFE | E.DIGEST_MISMATCH:
            return 422
        case E.SIGNATURE_MISSING | E.SIGNATURE_INVALID | E.SIGNER_UNTRUSTED | E.FILE_UNEXPECTED | E.FILE_MISSING:
            return 422
        case E.SIGNATURE_EXPIRED | E.REVOKED | E.SUBJECT_MISMATCH | E.IDEMPOTENCY_MISMATCH | E.MANIFEST_INVALID:
            return 422
        case E.IMAGE_PLATFORM | E.IMAGE_COMMANDS | E.IMAGE_SBOM | E.IMAGE_PROVENANCE | E.IMAGE_CHAIN:
            return 422
        case E.QUOTA_EXCEEDED:
            return 429
        case E.CANCELLED:
            return CLIENT_CLOSED
        case E.INTERNAL | E.INIT_FAILED | E.SETTING_INVALID | E.BLOB_CORRUPT | E.INFERENCE_FAILED | E.JOB_FAILED:
            return 500
        case E.OCI_DENIED | E.OCI_REFUSED:
            return 502
        case E.CLUSTER_DENIED | E.CLUSTER_REFUSED | E.CLUSTER_NAMESPACE | E.CLUSTER_IMAGE | E.CLUSTER_NOT_READY:
            return 502
        case E.QUEUE_FULL | E.STORE_UNAVAILABLE | E.MODEL_NOT_READY | E.DEVICE_UNAVAILABLE | E.OCI_UNREACHABLE:
            return 503
        case E.IMAGE_BUILDER_MISSING | E.IMAGE_BASE | E.CLUSTER_UNREACHABLE | E.CLUSTER_FULL:
            return 503
        case E.JOB_TIMEOUT:
            return 504
        case E.STORE_FULL:
            return 507
    assert_never(code)


def problems(*codes: ErrorCode) -> dict[int | str, dict[str, Any]]:
    """The documented error responses of a route: those every route under ``/api/v1`` has, and those of ``codes``."""
    return _documented(*_EVERYWHERE, *codes)


def operational_problems(*codes: ErrorCode) -> dict[int | str, dict[str, Any]]:
    """The documented error responses of a route without credentials and input."""
    return _documented(E.MALFORMED, E.TIMEOUT, E.TOO_LARGE, E.UNSUPPORTED_MEDIA_TYPE, E.INTERNAL, *codes)


def with_problems(responses: Mapping[int | str, dict[str, Any]], *codes: ErrorCode) -> dict[int | str, dict[str, Any]]:
    """The documented responses of a route, and those of further codes."""
    merged = dict(responses)
    for status, added in _documented(*codes).items():
        known = merged.get(status, added)
        names = added["description"].partition(": ")[2].split(", ")
        more = [name for name in names if name not in known["description"]]
        merged[status] = {**known, "description": ", ".join([known["description"], *more])}
    return merged


def _documented(*codes: ErrorCode) -> dict[int | str, dict[str, Any]]:
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(status_of(code), []).append(str(code))
    return {
        status: {"model": Problem, "description": f"{HTTPStatus(status).phrase}: {', '.join(names)}"}
        for status, names in sorted(by_status.items())
    }


def request_id_of(request: Request) -> str:
    """The id that the request carries through logs and errors."""
    found: str = request.scope.get("state", {}).get("request_id", "-")
    return found


def problem_response(error: FuroshikiError, request_id: str) -> Response:
    """The HTTP answer for one of our errors."""
    status = status_of(error.code)
    body = {
        "error": {
            "code": error.code,
            "message": error.message,
            "retryable": error.retryable,
            "request_id": request_id,
            "details": error.details,
        }
    }
    headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    content = orjson.dumps(body, default=str, option=orjson.OPT_NON_STR_KEYS)
    return Response(content, status_code=status, headers=headers, media_type="application/json")


def internal_error() -> FuroshikiError:
    """What a caller is told about a fault of ours."""
    return FuroshikiError(ErrorCode.INTERNAL, _FIXED)


def install(app: FastAPI) -> None:
    """Answers our errors, FastAPI's and Starlette's with a :class:`Problem`. Others are left to the outer middleware."""
    app.add_exception_handler(FuroshikiError, _on_ours)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_framework)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)


async def _on_ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, FuroshikiError)
    if status_of(error.code) >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("request_failed", code=error.code, message=error.message, **error.log_context)
    return problem_response(error, request_id_of(request))


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = of_nearest_form(error.errors())[:_MAX_SHOWN]
    # The caller's values are not repeated: they may hold a secret.
    fields = [{"field": ".".join(map(str, item["loc"])), "problem": str(item["msg"])} for item in found]
    message = "; ".join(f"{field['field']}: {field['problem']}" for field in fields)
    ours = InvalidRequest(_code_of(request, found), f"{message}.", details={"fields": fields})
    return problem_response(ours, request_id_of(request))


def _code_of(request: Request, found: Sequence[Mapping[str, Any]]) -> ErrorCode:
    if any(item["type"] == "json_invalid" for item in found):
        return ErrorCode.MALFORMED
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    unread = any(tuple(item["loc"]) == ("body",) and item["type"] != "missing" for item in found)
    if unread and not (media_type == "application/json" or media_type.endswith("+json")):
        return ErrorCode.UNSUPPORTED_MEDIA_TYPE  # FastAPI did not parse the body because of its type
    return ErrorCode.INVALID_FIELD


async def _on_framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path[:200]
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            ours: FuroshikiError = RequestError(ErrorCode.ROUTE_NOT_FOUND, f"There is no route {path!r}.")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            ours = RequestError(ErrorCode.METHOD_NOT_ALLOWED, f"{path!r} does not answer {request.method[:20]!r}.")
        case status if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            ours = InvalidRequest(ErrorCode.MALFORMED, "The request cannot be parsed.")
        case _:
            ours = internal_error()
    response = problem_response(ours, request_id_of(request))
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        response.headers["Allow"] = ", ".join(_allowed(request))
    return response


def _allowed(request: Request) -> list[str]:
    """The methods some route has for this path; the framework names those of the first route only."""
    routes = request.app.router.routes
    return [
        method
        for method in ("DELETE", "GET", "PATCH", "POST", "PUT")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]


async def _on_disconnect(request: Request, _error: Exception) -> Response:
    _log.info("caller_left", method=request.method, path=request.url.path)
    return Response(status_code=CLIENT_CLOSED)
