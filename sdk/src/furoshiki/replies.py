# SPDX-License-Identifier: Apache-2.0
"""Turns replies into values or errors.

An error reply is ``{"error": {"code", "message", "retryable", "request_id", "details"}}`` from the registry and
``{"error": "sentence"}`` with the code in the header ``X-Furoshiki-Error`` from the Open Inference Protocol routes.
Whatever a proxy in between sends instead still becomes a :class:`FuroshikiError`, chosen by its status.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar

import msgspec

from furoshiki.errors import (
    REPLY_UNREADABLE,
    AuthError,
    Conflict,
    DeadlineExceeded,
    FuroshikiError,
    InvalidRequest,
    JobFailed,
    NotFound,
    Overloaded,
    RequestError,
    ServerFault,
    SignatureRefused,
    Unavailable,
)
from furoshiki.steps import Reply

T = TypeVar("T")

ERROR_CODE_HEADER: Final = "x-furoshiki-error"

_BY_PREFIX: Final[tuple[tuple[str, type[FuroshikiError]], ...]] = (
    ("MODEL_001", NotFound),
    ("MODEL_002", Unavailable),
    ("MODEL_004", Conflict),
    ("MODEL_005", Conflict),
    ("STORE_002", NotFound),
    ("STORE_003", ServerFault),
    ("JOB_001", NotFound),
    ("JOB_004", Unavailable),
    ("TENANT_001", NotFound),
    ("KEY_001", NotFound),
    ("UPLOAD_001", NotFound),
    ("BUILD_001", NotFound),
    ("DEPLOY_001", NotFound),
    ("TUNING_001", NotFound),
    ("CONVERT_001", NotFound),
    ("GATE_002", NotFound),
    ("GATE_001", Conflict),
    ("WEBHOOK_001", NotFound),
    ("OCI_003", NotFound),
    ("OCI_005", Conflict),
    ("OCI_001", Unavailable),
    ("CLUSTER_001", Unavailable),
    ("CLUSTER_005", Unavailable),
    ("IMAGE_001", Unavailable),
    ("IMAGE_002", Unavailable),
    ("IMAGE_003", InvalidRequest),
    ("IMAGE_004", InvalidRequest),
    ("IMAGE_008", NotFound),
    ("IMAGE_", SignatureRefused),
    ("VALID_006", NotFound),
    ("UPLOAD_", Conflict),
    ("MODEL_", InvalidRequest),
    ("TENSOR_", InvalidRequest),
    ("VALID_", InvalidRequest),
    ("STATE_", Conflict),
    ("IDEMPOTENCY_002", Unavailable),
    ("IDEMPOTENCY_", Conflict),
    ("AUTH_", AuthError),
    ("QUEUE_", Overloaded),
    ("QUOTA_", Overloaded),
    ("TIMEOUT_", DeadlineExceeded),
    ("DEVICE_", Unavailable),
    ("STORE_", Unavailable),
    ("SIGN_", SignatureRefused),
    ("JOB_", JobFailed),
    ("OCI_", ServerFault),
    ("CLUSTER_", ServerFault),
    ("INTERNAL_", ServerFault),
    ("INFER_", ServerFault),
)
_BY_STATUS: Final[Mapping[int, tuple[type[FuroshikiError], str]]] = {
    401: (AuthError, "AUTH_002"),
    403: (AuthError, "AUTH_003"),
    404: (NotFound, "VALID_006"),
    408: (Unavailable, "TIMEOUT_001"),
    409: (Conflict, "STATE_001"),
    412: (Conflict, "STATE_003"),
    413: (InvalidRequest, "VALID_003"),
    429: (Overloaded, "QUOTA_001"),
    502: (Unavailable, REPLY_UNREADABLE),
    503: (Unavailable, REPLY_UNREADABLE),
    504: (DeadlineExceeded, "TIMEOUT_001"),
}


class _Problem(msgspec.Struct):
    code: str
    message: str
    retryable: bool | None = None
    request_id: str | None = None
    details: dict[str, Any] | None = None


class _Envelope(msgspec.Struct):
    error: _Problem | str


def decode(reply: Reply, kind: type[T]) -> T:
    """Decodes a JSON body into ``kind``; unknown fields are ignored, so that newer servers can be read.

    Raises:
        ServerFault: ``CLIENT_003`` if the body is not what the API promises.
    """
    try:
        return msgspec.json.decode(reply.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise unreadable(reply, f"cannot be read as {getattr(kind, '__name__', kind)}: {error}") from None


def unreadable(reply: Reply, reason: str) -> ServerFault:
    """The error for a reply with a good status and a body that is no answer."""
    message = f"The server's reply {reason}. Check that the URL is a Furoshiki service of a matching version."
    return ServerFault(REPLY_UNREADABLE, message, request_id=reply.request_id, status=reply.status)


def error_of(reply: Reply, *, now: datetime) -> FuroshikiError | None:
    """The error a reply carries; None if its status is below 400 and not a redirect.

    Args:
        reply: Any reply.
        now: Wall time, for a ``Retry-After`` given as a date.
    """
    if reply.status < 300:
        return None
    problem = _problem(reply)
    kind = _kind(problem.code, reply.status)
    return kind(
        problem.code,
        problem.message,
        request_id=problem.request_id or reply.request_id,
        status=reply.status,
        retry_after=retry_after(reply.headers.get("retry-after"), now=now),
        details=problem.details,
        retryable=problem.retryable,
    )


def error_named(code: str, message: str) -> FuroshikiError:
    """The error for a code of the server's that came from elsewhere than a reply."""
    return _kind(code, 500)(code, message)


def retry_after(value: str | None, *, now: datetime) -> float | None:
    """Seconds to wait by a ``Retry-After`` header, given in seconds or as an HTTP date; None if absent or unreadable."""
    if value is None:
        return None
    try:
        return min(max(0.0, float(value)), 86_400.0)
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())


def _problem(reply: Reply) -> _Problem:
    code = reply.headers.get(ERROR_CODE_HEADER) or _BY_STATUS.get(reply.status, (ServerFault, REPLY_UNREADABLE))[1]
    try:
        error = msgspec.json.decode(reply.body, type=_Envelope).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Problem(code=code, message=f"The server answered HTTP {reply.status} without saying why.")
    return _Problem(code=code, message=error) if isinstance(error, str) else error


def _kind(code: str, status: int) -> type[FuroshikiError]:
    for prefix, kind in _BY_PREFIX:
        if code.startswith(prefix):
            return kind
    if status in _BY_STATUS:
        return _BY_STATUS[status][0]
    return RequestError if 400 <= status < 500 else ServerFault
