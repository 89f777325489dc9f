# SPDX-License-Identifier: Apache-2.0
"""Who decides that a model gets a process of its own."""

from __future__ import annotations

import pytest

from artifacts.testing import refused
from core.errors import ErrorCode
from runners.isolation.options import ISOLATION, IsolationOptions, Mode


@pytest.mark.parametrize(
    ("mode", "asked", "expected"),
    [
        ("thread", None, False),
        ("thread", "thread", False),
        ("thread", "process", True),
        ("process", None, True),
        ("process", "process", True),
        ("process", "thread", True),
    ],
)
def test_either_may_ask_and_none_may_refuse(mode: Mode, asked: str | None, expected: bool) -> None:
    """A process is had as soon as the operator or the signed manifest wants one; a manifest cannot take it away."""
    metadata = {} if asked is None else {ISOLATION: asked}
    assert IsolationOptions(mode=mode).wanted(metadata) is expected


def test_another_word_is_refused() -> None:
    """A manifest that says something else is MODEL_003, naming the key, the value and what was expected."""
    with refused(ErrorCode.MODEL_INVALID, ISOLATION, "'container'", "'process'"):
        IsolationOptions().wanted({ISOLATION: "container"})
