# SPDX-License-Identifier: Apache-2.0
"""The catalogue for people (a table) and for programs (JSON): recipes, and the route from each source to each target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from converters.catalogue import Route, every, others, routes
from converters.interface import Recipe


def as_json() -> str:
    """``{"recipes": [...], "routes": [...], "plugins": [...]}``."""
    document = {
        "recipes": [_recipe(recipe) for recipe in every()],
        "routes": [_route(*way) for way in ways()],
        "plugins": [{"name": each.name, "origin": each.origin, "unavailable": each.reason} for each in others()],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def as_text() -> str:
    """Two tables, and a third of plugins if there are any."""
    steps = [
        (
            recipe.name,
            recipe.source,
            recipe.target,
            recipe.precision or "",
            "any" if recipe.dynamic_batch else "fixed",
            f"{recipe.cost_s:g} s",
            recipe.available() or "yes",
        )
        for recipe in every()
    ]
    found = [
        (source, target, "any" if route.dynamic_batch else "fixed", " > ".join(route.names), route.available() or "yes")
        for source, target, route in ways()
    ]
    plugins = [(each.name, each.origin, each.reason or "yes") for each in others()]
    return "\n".join(
        [
            *_table(("RECIPE", "FROM", "TO", "PRECISION", "BATCH", "COST", "AVAILABLE"), steps),
            "",
            *_table(("FROM", "TO", "BATCH", "ROUTE", "AVAILABLE"), found),
            *(["", *_table(("PLUGIN", "ORIGIN", "AVAILABLE"), plugins)] if plugins else []),
        ]
    )


def ways() -> list[tuple[str, str, Route]]:
    """The best route from each source to each target that a recipe writes, whether or not it can run here."""
    conversions = [recipe for recipe in every() if recipe.kind == "convert"]
    sources = dict.fromkeys(recipe.source for recipe in conversions)
    targets = dict.fromkeys(recipe.target for recipe in conversions)
    found = []
    for source in sources:
        for target in targets:
            known = routes(source, target) if source != target else []
            able = [route for route in known if route.available() is None]
            if known:
                found.append((source, target, (able or known)[0]))
    return found


def _recipe(recipe: Recipe) -> dict[str, Any]:
    return {
        "name": recipe.name,
        "kind": recipe.kind,
        "source": recipe.source,
        "target": recipe.target,
        "precision": recipe.precision,
        "dynamic_batch": recipe.dynamic_batch,
        "cost_s": recipe.cost_s,
        "needs": list(recipe.needs),
        "unavailable": recipe.available(),
    }


def _route(source: str, target: str, route: Route) -> dict[str, Any]:
    return {
        "source": source,
        "target": target,
        "steps": list(route.names),
        "dynamic_batch": route.dynamic_batch,
        "cost_s": route.cost_s,
        "unavailable": route.available(),
    }


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    ]
