# SPDX-License-Identifier: Apache-2.0
"""Errors of ``/v1``: one object with the stable code, a sentence, whether to retry, the request id and details."""

from __future__ import annotations

from core.errors import FuroshikiError
from services.edge.interface import Problem, error_headers
from services.edge.status import http_status
from services.rest_v1.negotiation import CODECS, JSON_TYPE, error_type


def problem(error: FuroshikiError, request_id: str, accept: bytes | None = None) -> Problem:
    """Status, body and headers of an error.

    Args:
        error: What went wrong.
        request_id: The id of the exchange.
        accept: The caller's ``Accept``, if it sent one.
    """
    told = {
        "code": str(error.code),
        "message": error.message,
        "retryable": error.retryable,
        "request_id": request_id,
        "details": error.details,
    }
    media_type = JSON_TYPE if accept is None else error_type(accept)
    headers = [(name, value) for name, value in error_headers(error) if name != b"content-type"]
    return http_status(error.code), CODECS[media_type].problem(told), [(b"content-type", media_type), *headers]
