# SPDX-License-Identifier: Apache-2.0
"""The error tree: codes that are unique, explained and answered by every edge, and what may be retried."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from core import errors
from core.errors import ErrorCode, FuroshikiError, OperatorError, RequestError, TransientError
from services.edge.status import http_status

SOURCE = Path(errors.__file__).read_text()


def test_every_value_is_unique_and_stable_in_form() -> None:
    """No two names share a code (an enum would silently make one the alias of the other), and all look alike."""
    values = re.findall(r'^    [A-Z_]+ = "(\w+)"', SOURCE, re.MULTILINE)
    assert [value for value, times in Counter(values).items() if times > 1] == []
    assert len(values) == len(ErrorCode)
    assert all(re.fullmatch(r"[A-Z]+_\d{3}", code) for code in ErrorCode)


@pytest.mark.parametrize("code", ErrorCode)
def test_every_code_is_explained(code: ErrorCode) -> None:
    """The line of each code says in one sentence what it means."""
    line = next(line for line in SOURCE.splitlines() if f'"{code.value}"' in line)
    assert len(line.partition("#")[2].strip()) >= 10


@pytest.mark.parametrize("code", ErrorCode)
def test_every_code_has_an_http_status(code: ErrorCode) -> None:
    """Each code is answered with an error status, and only a server's fault with a server's status."""
    status = http_status(code)
    assert 400 <= status <= 599
    if code.value.startswith(("VALID_", "TENSOR_", "AUTH_", "STATE_")):
        assert status < 500
    if code.value.startswith(("SIGN_", "INIT_", "INTERNAL_")):
        assert status >= 500


def every_class(root: type[FuroshikiError] = FuroshikiError) -> list[type[FuroshikiError]]:
    return [root, *(below for child in root.__subclasses__() for below in every_class(child))]


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """The picture at the top names every class, indented below its parent."""
    picture = re.findall(r"^    [ │]*[├└]── (\w+)|^    (FuroshikiError)$", SOURCE, re.MULTILINE)
    drawn = [a or b for a, b in picture]
    ours = [cls.__name__ for cls in every_class() if cls.__module__ == errors.__name__]
    assert drawn == ours


@pytest.mark.parametrize("cls", every_class())
def test_only_transient_errors_are_retryable(cls: type[FuroshikiError]) -> None:
    """``retryable`` is the class's alone: true below TransientError, false everywhere else."""
    assert cls(ErrorCode.INTERNAL, "m").retryable is issubclass(cls, TransientError)


def test_a_class_has_one_answer() -> None:
    """The three groups share no class: fix it, retry it, or call somebody."""
    groups = [set(every_class(group)) for group in (RequestError, TransientError, OperatorError)]
    assert sum(map(len, groups)) == len(set().union(*groups)) == len(every_class()) - 1


def test_log_context_is_not_shown() -> None:
    """What is for the log appears neither in the text of an error nor in its details."""
    error = OperatorError(ErrorCode.INTERNAL, "Failed.", details={"a": 1}, log_context={"path": "/srv/secret"})
    assert str(error) == "INTERNAL_001: Failed."
    assert "secret" not in repr(error) + str(error.details)


def test_details_are_a_copy() -> None:
    """Changing what an error was made from does not change the error."""
    details: dict[str, errors.Detail] = {"a": 1}
    error = RequestError(ErrorCode.INVALID_FIELD, "m", details=details)
    details["a"] = 2
    assert error.details == {"a": 1}
