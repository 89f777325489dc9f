# SPDX-License-Identifier: Apache-2.0
"""Every error has a status, and what it says fits into trailers."""

from __future__ import annotations

import pytest
from grpc import StatusCode

from core.errors import ErrorCode, InvalidRequest, Overloaded
from services.edge.status import http_status
from services.grpc_v2.errors import error_message, error_metadata, grpc_status

# What a status over HTTP is over gRPC, where one says all; the others depend on the code.
ALIKE = {
    400: StatusCode.INVALID_ARGUMENT,
    401: StatusCode.UNAUTHENTICATED,
    403: StatusCode.PERMISSION_DENIED,
    413: StatusCode.INVALID_ARGUMENT,
    429: StatusCode.RESOURCE_EXHAUSTED,
    499: StatusCode.CANCELLED,
    502: StatusCode.FAILED_PRECONDITION,
    504: StatusCode.DEADLINE_EXCEEDED,
}


@pytest.mark.parametrize("code", ErrorCode)
def test_every_code(code: ErrorCode) -> None:
    """Each code has a status that is not OK and agrees with the one it has over HTTP."""
    status = grpc_status(code)
    assert status is not StatusCode.OK
    assert status is ALIKE.get(http_status(code), status)


def test_when_to_come_back() -> None:
    """A pause is told in whole seconds, and to the millisecond for clients with a retry policy."""
    error = Overloaded(ErrorCode.QUEUE_FULL, "Full.", retry_after=2.4)
    assert dict(error_metadata(error)) == {
        "x-furoshiki-error": "QUEUE_001",
        "retry-after": "2",
        "grpc-retry-pushback-ms": "2400",
    }
    assert dict(error_metadata(InvalidRequest(ErrorCode.MALFORMED, "No."))) == {"x-furoshiki-error": "VALID_001"}


def test_long_messages_are_cut() -> None:
    """A message that would not fit into trailers is cut, and not inside of a character."""
    assert error_message(InvalidRequest(ErrorCode.MALFORMED, "short")) == "short"
    cut = error_message(InvalidRequest(ErrorCode.MALFORMED, "€" * 5000))
    assert cut == "€" * 682 + "…"
