# SPDX-License-Identifier: Apache-2.0
"""Search, descriptions, tags, cards and lineage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from furoshiki import Client, Conflict, Lineage

Either: TypeAlias = Callable[..., Any]  # the fixture: a call, run by one of the clients


def test_models_are_found_by_words_tags_and_stage(either: Either, client: Client, model_file: Path) -> None:
    """Conditions travel as query parameters; the pages are walked."""
    for name, tags in (("digits", ["team:vision"]), ("wines", ["team:taste"]), ("digits-v2", [])):
        client.models.create(name, description=f"about {name}", tags=tags)
    client.models.push("wines", model_file)
    assert [model.name for model in either(lambda one: one.models.list("dig"))] == ["digits", "digits-v2"]
    assert [model.name for model in either(lambda one: one.models.list(tags=["team"]))] == ["digits", "wines"]
    assert [model.name for model in either(lambda one: one.models.list(stage="development"))] == ["wines"]
    assert next(iter(client.models.list(order="-name"))).name == "wines"


def test_a_description_changes_only_what_is_given(either: Either, client: Client) -> None:
    """Tags stay when the description changes; the value knows its new ETag."""
    client.models.create("digits", description="old", tags=["demo"])
    before = client.models.get("digits")
    after = either(lambda one: one.models.describe("digits", description="new", etag=before.etag))
    assert (after.description, after.tags) == ("new", ("demo",))
    assert after.etag == client.models.get("digits").etag != before.etag


def test_a_change_meanwhile_is_a_conflict(client: Client) -> None:
    """With the ETag of an earlier state nothing is changed."""
    client.models.create("digits")
    stale = client.models.get("digits").etag
    client.models.describe("digits", tags=["a"])
    with pytest.raises(Conflict, match="STATE_003"):
        client.models.describe("digits", tags=["b"], etag=stale)
    assert client.models.get("digits").tags == ("a",)


def test_a_version_is_tagged_and_has_a_lineage(either: Either, client: Client, model_file: Path) -> None:
    """Tags of a version are its own; its graph begins with itself."""
    client.models.push("digits", model_file)
    assert either(lambda one: one.versions.describe("digits", 1, tags=["tried:yes"])).tags == ("tried:yes",)
    graph: Lineage = either(lambda one: one.versions.lineage("digits", 1))
    assert graph.node(graph.root).digest == client.versions.get("digits", 1).digest
    with pytest.raises(KeyError):
        graph.node("image:none")


def test_the_card_of_a_model_counts_for_its_versions(either: Either, client: Client, model_file: Path) -> None:
    """Until a version has its own; an empty card has revision 0."""
    client.models.push("digits", model_file)
    empty = client.models.card("digits")
    assert (empty.revision, empty.filled) == (0, {})
    put = either(lambda one: one.models.put_card("digits", fields={"license": "MIT"}, body="# digits", etag=None))
    assert (put.fields, put.body) == ({"license": "MIT"}, "# digits")
    assert client.models.card("digits", 1).version is None
    with pytest.raises(Conflict, match="STATE_003"):
        client.models.put_card("digits", fields={}, etag=empty.etag)
    client.models.put_card("digits", 1, fields={"license": "BSD"})
    assert client.models.card("digits", 1).filled == {"license": "BSD"}
