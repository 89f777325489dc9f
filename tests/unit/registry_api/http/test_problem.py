# SPDX-License-Identifier: Apache-2.0
"""Errors as HTTP answers."""

from __future__ import annotations

import orjson
import pytest

from core.errors import ErrorCode, InvalidRequest, Overloaded
from registry_api.http.problem import problem_response, problems, status_of


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_code_has_an_error_status(code: ErrorCode) -> None:
    """No code is answered with success."""
    assert 400 <= status_of(code) < 600


def test_a_problem_has_the_documented_body() -> None:
    """Code, message, retryable, request id and details; nothing from the log context."""
    error = InvalidRequest(ErrorCode.INVALID_FIELD, "No.", details={"field": "x"}, log_context={"path": "/etc/shadow"})
    response = problem_response(error, "r1")
    assert response.status_code == 422
    assert orjson.loads(response.body) == {
        "error": {
            "code": "VALID_002",
            "message": "No.",
            "retryable": False,
            "request_id": "r1",
            "details": {"field": "x"},
        }
    }


def test_retry_after_is_whole_seconds_and_never_zero() -> None:
    """0.2 s is one second, 3.1 s are four."""
    for seconds, shown in ((0.2, "1"), (3.1, "4")):
        error = Overloaded(ErrorCode.QUEUE_FULL, "Full.", retry_after=seconds)
        assert problem_response(error, "r").headers["retry-after"] == shown


def test_documented_problems_are_those_of_every_route_and_the_named_ones() -> None:
    """One entry per status, listing its codes."""
    documented = problems(ErrorCode.MODEL_NOT_FOUND, ErrorCode.PATH_UNSAFE)
    assert list(documented) == [400, 401, 403, 404, 408, 413, 415, 422, 500, 503]
    assert documented[422]["description"].endswith("VALID_002, SIGN_007")
