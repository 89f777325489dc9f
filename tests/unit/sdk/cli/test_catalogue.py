# SPDX-License-Identifier: Apache-2.0
"""``furo search``, ``card``, ``tag`` and ``lineage``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from furoshiki import Client

Run: TypeAlias = Callable[..., Any]  # the fixture: runs furo


@pytest.fixture
def digits(client: Client, model_file: Path) -> None:
    """A model with a version."""
    client.models.push("digits", model_file, description="Handwritten", tags=["team:vision"])


@pytest.mark.usefixtures("digits")
def test_search_lists_what_fits(run: Run) -> None:
    """By words and tags, as a table or as JSON."""
    assert "digits" in run("search", "hand").out
    assert [model["name"] for model in run("search", "--tag", "team:vision", "-o", "json").json] == ["digits"]
    assert run("search", "wines", "-o", "json").json == []


@pytest.mark.usefixtures("digits")
def test_a_card_is_shown_and_changed(run: Run, tmp_path: Path) -> None:
    """Fields from a JSON file, the text from a Markdown file; what is not given stays."""
    fields, body = tmp_path / "card.json", tmp_path / "README.md"
    fields.write_text(
        json.dumps({"license": "MIT", "metrics": [{"name": "accuracy", "value": 0.97, "dataset": "held out"}]})
    )
    body.write_text("# About digits")
    assert run("card", "digits", "--fields", str(fields)).code == 0
    shown = run("card", "digits", "--body", str(body)).out
    assert all(part in shown for part in ("License", "MIT", "accuracy 0.97 (held out)", "# About digits"))
    assert run("card", "digits@1", "-o", "json").json["fields"]["license"] == "MIT"
    fields.write_text("[1]")
    refused = run("card", "digits", "--fields", str(fields))
    assert (refused.code, "no JSON object" in refused.err) == (2, True)


@pytest.mark.usefixtures("digits")
def test_tags_are_set_replaced_and_removed(run: Run) -> None:
    """One value per key; other tags stay."""
    assert run("tag", "digits", "team:audio", "demo", "-o", "json").json["tags"] == ["team:audio", "demo"]
    assert run("tag", "digits", "--remove", "demo", "-o", "json").json["tags"] == ["team:audio"]
    assert run("tag", "digits@1", "tried:yes", "-o", "json").json["tags"] == ["tried:yes"]
    assert "tried:yes" in run("versions", "digits@1").out


@pytest.mark.usefixtures("digits")
def test_lineage_is_a_tree_or_json(run: Run) -> None:
    """Without a version: that of the one a caller means."""
    assert "version digits@1" in run("lineage", "digits").out
    assert run("lineage", "digits@1", "-o", "json").json["root"] == "version:digits@1"
