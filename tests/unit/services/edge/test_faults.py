# SPDX-License-Identifier: Apache-2.0
"""What becomes of an exception."""

from __future__ import annotations

from structlog.testing import capture_logs

from core.errors import ErrorCode, FuroshikiError, ModelError, StoreError
from services.edge.faults import shown


def told(error: Exception) -> FuroshikiError:
    return shown(error, request_id="r1", path="/v2", tenant="acme")


def test_an_unknown_exception_is_told_as_one_sentence_and_logged_with_its_text() -> None:
    """Its text may hold anything, so only the operator sees it."""
    error = RuntimeError("secret")
    with capture_logs() as lines:
        found = told(error)
    assert (found.code, "secret" in found.message) == (ErrorCode.INTERNAL, False)
    assert [(line["event"], line["request_id"], line["tenant"], line["exc_info"]) for line in lines] == [
        ("unexpected_error", "r1", "acme", error)
    ]


def test_what_only_the_operator_may_see_of_an_error_is_logged() -> None:
    """The error itself is told as it is."""
    error = StoreError(ErrorCode.BLOB_CORRUPT, "It is lost.", log_context={"file": "/srv/blob"})
    with capture_logs() as lines:
        assert told(error) is error
    assert [(line["event"], line["code"], line["file"]) for line in lines] == [
        ("request_failed", ErrorCode.BLOB_CORRUPT, "/srv/blob")
    ]


def test_an_error_without_anything_to_hide_is_not_logged() -> None:
    """A caller's mistakes do not fill the log."""
    error = ModelError(ErrorCode.MODEL_NOT_FOUND, "There is none.")
    with capture_logs() as lines:
        assert told(error) is error
    assert lines == []
