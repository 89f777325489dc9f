# SPDX-License-Identifier: Apache-2.0
"""Errors as the Open Inference Protocol writes them: ``{"error": "<sentence>"}``; the stable code is in a header."""

from __future__ import annotations

import orjson

from core.errors import FuroshikiError
from services.edge.interface import Problem, error_headers
from services.edge.status import http_status


def problem(error: FuroshikiError, request_id: str) -> Problem:  # noqa: ARG001 -- the id travels in its header
    """Status, body and headers of an error."""
    return http_status(error.code), orjson.dumps({"error": error.message}), error_headers(error)
