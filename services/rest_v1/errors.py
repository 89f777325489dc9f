# SPDX-License-Identifier: Apache-2.0
"""Errors of ``/v1``: one object with the stable code, a sentence, whether to retry, the request id and details."""

from __future__ import annotations

import orjson

from core.errors import FuroshikiError
from services.edge.interface import Problem, error_headers
from services.edge.status import http_status


def problem(error: FuroshikiError, request_id: str) -> Problem:
    """Status, body and headers of an error."""
    body = {
        "error": {
            "code": error.code,
            "message": error.message,
            "retryable": error.retryable,
            "request_id": request_id,
            "details": error.details,
        }
    }
    return http_status(error.code), orjson.dumps(body), error_headers(error)
