# SPDX-License-Identifier: Apache-2.0
"""Every error has the same class, code and facts at both ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core import errors
from core.errors import ErrorCode, FuroshikiError, Overloaded
from runners.remote.errors import described, revived
from runners.remote.messages import decode_failure

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FuroshikiError)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_survives_the_boundary(kind: type[FuroshikiError]) -> None:
    """Class, code, message, details and retry_after are those of the original, over the wire and back."""
    error = kind(
        ErrorCode.TENSOR_SHAPE,
        "Input 'x' has shape [1, 3].",
        details={"input": "x", "got": [1, 3], "expected": [-1, 4]},
        log_context={"cause": "RuntimeError()", "path": Path("/model")},
        retry_after=1.5,
    )
    back = revived(decode_failure(described(error)))
    assert type(back) is kind
    assert (back.code, back.message, back.details, back.retry_after, back.retryable) == (
        error.code,
        error.message,
        error.details,
        1.5,
        kind.retryable,
    )
    assert back.log_context == {"cause": "RuntimeError()", "path": "/model"}


@pytest.mark.parametrize(("kind", "code"), [("Exception", "QUEUE_001"), ("Overloaded", "QUEUE_999")])
def test_an_unknown_error_becomes_internal(kind: str, code: str) -> None:
    """A class or code of another release is not made up: the caller gets INTERNAL_001."""
    failure = decode_failure(described(Overloaded(ErrorCode.QUEUE_FULL, "Full.")))
    failure.kind, failure.code = kind, code
    assert revived(failure).code is ErrorCode.INTERNAL


@pytest.mark.parametrize("fact", ["lone \udcff surrogate", 2**70, {"deep": ["\udcff"]}])
def test_facts_that_cannot_travel_cost_only_themselves(fact: object) -> None:
    """An error whose facts cannot be encoded still arrives, with what was left out in its log context."""
    error = Overloaded(ErrorCode.QUEUE_FULL, "Full of \udcff.", log_context={"fact": fact}, retry_after=1.0)
    back = revived(decode_failure(described(error)))
    assert (type(back), back.code, back.message, back.retry_after) == (Overloaded, error.code, "Full of ?.", 1.0)
    assert list(back.log_context) == ["left_out"]


def test_numbers_of_numpy_are_numbers() -> None:
    """A row number that came out of numpy is a number at the other end."""
    error = Overloaded(ErrorCode.QUEUE_FULL, "Full.", details={"row": np.int64(3)})  # type: ignore[dict-item]
    assert revived(decode_failure(described(error))).details == {"row": 3}
