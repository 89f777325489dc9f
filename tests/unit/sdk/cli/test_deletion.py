# SPDX-License-Identifier: Apache-2.0
"""``furo version delete``, ``furo model delete``, and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from furoshiki import Client

Run: TypeAlias = Callable[..., Any]  # the fixture: runs furo


@pytest.fixture
def digits(client: Client, model_file: Path) -> None:
    """A model with a version."""
    client.models.push("digits", model_file)


@pytest.mark.usefixtures("digits")
def test_a_version_is_deleted_after_a_question(run: Run, client: Client) -> None:
    """A no leaves everything; a yes, or --yes, deletes; the lists of deleted ones say until when it can be restored."""
    asked = ("version", "delete", "digits@1", "--reason", "wrong data")
    assert (run(*asked, stdin="n\n").code, client.versions.get("digits", 1).deletion) == (130, None)
    ran = run(*asked, stdin="y\n")
    assert ran.code == 0
    assert "Delete digits@1?" in ran.err
    assert "wrong data; can be restored until" in ran.out
    assert run("versions", "digits", "-o", "json").json == []
    assert "wrong data" in run("versions", "digits", "--deleted").out
    assert "Deleted" not in run("version", "restore", "digits@1", "--reason", "needed").out
    assert run(*asked, "--yes", "-o", "json").json["deletion"]["reason"] == "wrong data"


@pytest.mark.usefixtures("digits")
def test_a_model_is_deleted_and_restored(run: Run) -> None:
    """By its name; listed by ``furo models --deleted``."""
    asked = ("model", "delete", "digits", "--reason", "wrong data")
    assert run(*asked, stdin="n\n").code == 130
    assert "wrong data" in run(*asked, "-y").out
    assert run("models", "-o", "json").json == []
    assert "wrong data" in run("models", "--deleted").out
    assert run("model", "restore", "digits", "--reason", "needed").code == 0
    assert [model["name"] for model in run("models", "-o", "json").json] == ["digits"]


@pytest.mark.usefixtures("digits")
def test_a_refusal_says_how_to_clear_each_use(run: Run) -> None:
    """One line for each on stderr, then the error; with JSON only that."""
    for stage in ("staging", "production"):
        assert run("stage", "digits@1", stage, "--reason", "r").code == 0
    ran = run("version", "delete", "digits@1", "--reason", "r", "--yes")
    assert "STATE_004" in ran.err
    assert "version 1: production PRODUCTION. Promote another version" in ran.err
    assert "clear" not in run("version", "delete", "digits@1", "--reason", "r", "--yes", "-o", "json").err


@pytest.mark.parametrize(
    "arguments", [("digits", "--reason", "r"), ("digits@1",), ("digits@champion", "--reason", "r")]
)
def test_a_version_and_a_reason_are_needed(run: Run, arguments: tuple[str, ...]) -> None:
    """Without them, or with an alias, it is wrong usage."""
    assert run("version", "delete", *arguments, "--yes").code == 2


@pytest.mark.usefixtures("digits")
def test_nobody_to_answer_is_a_usage_error(run: Run, client: Client) -> None:
    """Where stdin has ended, nothing is deleted, and the option that answers is named."""
    ran = run("version", "delete", "digits@1", "--reason", "wrong data", stdin="")
    assert (ran.code, "Give --yes" in ran.err) == (2, True)
    assert client.versions.get("digits", 1).deletion is None
