# SPDX-License-Identifier: Apache-2.0
"""``furo --help``."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any, TypeAlias

from furoshiki.cli import furo

Run: TypeAlias = Callable[..., Any]  # the fixture: runs furo


def test_every_command_is_in_one_section(run: Run) -> None:
    """And each section is printed, with the commands under their headings."""
    assert sorted(chain.from_iterable(furo.sections.values())) == sorted(furo.commands)
    shown = run("--help").out.splitlines()
    for heading, names in furo.sections.items():
        start = shown.index(f"{heading}:") + 1
        assert [line.split()[0] for line in shown[start : start + len(names)]] == list(names)


def test_what_a_command_is_for_is_said_whole(run: Run) -> None:
    """The first sentence of a command says it; examples come after it."""
    shown = run("--help").out
    for line in (
        "Move a version to another stage.",
        "Convert a version to another format or precision.",
        "Run a model once.",
        "List the deployments, and how many instances are ready.",
    ):
        assert line in shown
