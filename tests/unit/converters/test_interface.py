# SPDX-License-Identifier: Apache-2.0
"""What is told of a converter library's exception."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from converters.interface import reason_of

TREE = Path(__file__).resolve().parents[3]


def test_the_first_line_is_told() -> None:
    """Empty lines before it are not, and it is cut at 400 characters."""
    assert reason_of(ValueError("\n  no such op \nat line 3")) == "no such op"
    assert reason_of(ValueError("x" * 500)) == "x" * 400


def test_silence_has_a_name() -> None:
    """The type of the error, or what the caller says."""
    assert reason_of(KeyError()) == "KeyError"
    assert reason_of(KeyError(), silent="no reason given") == "no reason given"


@pytest.mark.parametrize("folder", [sys.prefix, sys.base_prefix, str(TREE)])
def test_folders_of_the_installation_are_not_told(folder: str) -> None:
    """Who converts learns where in a library it failed, not where the host keeps it."""
    assert (
        reason_of(ValueError(f"unknown rank # {folder}/torch/_tensor.py:1356"))
        == "unknown rank # torch/_tensor.py:1356"
    )
