# SPDX-License-Identifier: Apache-2.0
"""Error replies become the right kind of error, whoever wrote them."""

from __future__ import annotations

import json

import pytest

from core import errors as server
from core.errors import ErrorCode
from furoshiki import FuroshikiError, ServerFault, SignatureRefused, Unavailable
from furoshiki.errors import AuthError, Conflict, InvalidRequest, JobFailed, NotFound, Overloaded, TransientError
from furoshiki.replies import decode, error_of
from furoshiki.steps import Reply
from furoshiki.testing import ManualClock
from registry_api.http.problem import status_of
from services.edge.status import http_status

NOW = ManualClock().now()


def envelope(code: str, status: int, *, retryable: bool | None = None) -> FuroshikiError:
    error = {"code": code, "message": "m", "request_id": "r-1", "details": {"field": "x"}}
    if retryable is not None:
        error["retryable"] = retryable  # type: ignore[assignment]
    body = json.dumps({"error": error}).encode()
    found = error_of(Reply(status=status, headers={}, body=body, request_id="header"), now=NOW)
    assert found is not None
    return found


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_code_of_the_server_has_a_kind(code: ErrorCode) -> None:
    """Whatever code the registry answers with, the kind of error is chosen by the code, not guessed from the status."""
    by_code = type(envelope(code, status_of(code)))
    assert type(envelope(code, 418)) is by_code or code in (
        ErrorCode.CANCELLED,
        ErrorCode.INIT_FAILED,
        ErrorCode.SETTING_INVALID,
    )


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (ErrorCode.MODEL_NOT_FOUND, NotFound),
        (ErrorCode.MODEL_INVALID, InvalidRequest),
        (ErrorCode.MODEL_EXISTS, Conflict),
        (ErrorCode.TENSOR_SHAPE, InvalidRequest),
        (ErrorCode.AUTH_FORBIDDEN, AuthError),
        (ErrorCode.DIGEST_MISMATCH, SignatureRefused),
        (ErrorCode.QUEUE_FULL, Overloaded),
        (ErrorCode.STORE_FULL, Unavailable),
        (ErrorCode.BLOB_CORRUPT, ServerFault),
        (ErrorCode.JOB_FAILED, JobFailed),
        (ErrorCode.UPLOAD_INCOMPLETE, Conflict),
        (ErrorCode.INFERENCE_FAILED, ServerFault),
    ],
)
def test_kind_says_what_the_caller_can_do(code: ErrorCode, kind: type[FuroshikiError]) -> None:
    """Codes are grouped by what can be done about them."""
    assert type(envelope(code, 400)) is kind


@pytest.mark.parametrize(
    "code",
    [
        ErrorCode.QUEUE_FULL,
        ErrorCode.QUOTA_EXCEEDED,
        ErrorCode.TIMEOUT,
        ErrorCode.DEVICE_UNAVAILABLE,
        ErrorCode.MODEL_NOT_READY,
        ErrorCode.STORE_UNAVAILABLE,
        ErrorCode.STORE_FULL,
    ],
)
def test_inference_errors_without_a_retryable_field_keep_their_meaning(code: ErrorCode) -> None:
    """On protocol routes, which cannot say it, what the server calls transient is retryable here."""
    headers = {"x-furoshiki-error": str(code)}
    reply = Reply(status=http_status(code), headers=headers, body=b'{"error":"full"}', request_id="r")
    error = error_of(reply, now=NOW)
    assert isinstance(error, TransientError)
    assert (error.code, error.message, error.retryable) == (code, "full", True)


def test_envelope_is_carried_whole() -> None:
    """Code, message, retryability, request id, status and details of the reply are in the error."""
    error = envelope("VALID_002", 422, retryable=False)
    shown = (error.code, error.message, error.retryable, error.request_id, error.status, error.details)
    assert shown == ("VALID_002", "m", False, "r-1", 422, {"field": "x"})
    assert str(error) == "VALID_002: m (request r-1)"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, ServerFault),
        (401, AuthError),
        (404, NotFound),
        (418, FuroshikiError),
        (500, ServerFault),
        (503, Unavailable),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b'{"detail": 1}', b"\xff"])
def test_replies_of_strangers_become_errors_too(status: int, kind: type[FuroshikiError], body: bytes) -> None:
    """A proxy's page, an empty body or another service's JSON is reported by its status."""
    error = error_of(Reply(status=status, headers={}, body=body, request_id="r"), now=NOW)
    assert isinstance(error, kind)
    assert (error.status, error.request_id) == (status, "r")


def test_good_reply_with_a_bad_body_is_a_server_fault() -> None:
    """A 200 that is no answer says so, with the request id."""
    with pytest.raises(ServerFault, match=r"CLIENT_003.*request r"):
        decode(Reply(status=200, headers={}, body=b"<html>", request_id="r"), dict)


def test_server_and_client_agree_on_what_is_retryable() -> None:
    """Every class the server raises is represented by a class here with the same retryability."""
    pairs = {
        server.Overloaded: Overloaded,
        server.DeadlineExceeded: TransientError,
        server.Unavailable: Unavailable,
        server.AuthError: AuthError,
        server.SignatureError: SignatureRefused,
        server.JobError: JobFailed,
    }
    for theirs, ours in pairs.items():
        assert theirs.retryable == ours.retryable
