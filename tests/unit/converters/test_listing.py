# SPDX-License-Identifier: Apache-2.0
"""The catalogue as a table and as JSON."""

from __future__ import annotations

import json

from converters.catalogue import every
from converters.listing import as_json, as_text, ways


def test_json_holds_every_recipe_and_route() -> None:
    """Programs get the same facts as people: source, target, batch, cost, needs, why not."""
    document = json.loads(as_json())
    assert [each["name"] for each in document["recipes"]] == [each.name for each in every()]
    assert len(document["routes"]) == len(ways())
    for route in document["routes"]:
        assert route["steps"]
        assert set(route) == {"source", "target", "steps", "dynamic_batch", "cost_s", "unavailable"}


def test_text_has_a_line_each() -> None:
    """Two tables, a blank line between them."""
    recipes, found = as_text().split("\n\n")
    assert len(recipes.splitlines()) == len(every()) + 1
    assert len(found.splitlines()) == len(ways()) + 1
