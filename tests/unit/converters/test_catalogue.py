# SPDX-License-Identifier: Apache-2.0
"""Recipes and the search for a way through them."""

from __future__ import annotations

import pytest

from artifacts.formats import FORMATS
from converters.catalogue import OURS, best_route, every, recipe_named, routes
from converters.interface import Recipe
from converters.lazy import LazyRecipe
from converters.recipes.catalogue import RECIPES
from core.errors import ErrorCode, FuroshikiError


def recipe(name: str, source: str, target: str, **fields: object) -> LazyRecipe:
    values: dict[str, object] = {"dynamic_batch": True, "cost_s": 1.0, "needs": (), "work": "nowhere:nothing"}
    return LazyRecipe(name=name, source=source, target=target, **(values | fields))  # type: ignore[arg-type]


def missing() -> str | None:
    return "its environment cannot be made"


def test_the_cheapest_way_that_keeps_any_batch_size_is_best() -> None:
    """A cheaper way with fixed batch sizes comes after a dearer one that keeps the batch free."""
    recipes = (
        recipe("fixed", "a", "z", dynamic_batch=False),
        recipe("dear", "a", "z", cost_s=30.0),
        recipe("first", "a", "b", cost_s=5.0),
        recipe("second", "b", "z", cost_s=6.0),
    )
    assert [way.names for way in routes("a", "z", recipes)] == [("first", "second"), ("dear",), ("fixed",)]
    assert best_route("a", "z", recipes).names == ("first", "second")


def test_fixed_sizes_are_taken_where_nothing_else_leads() -> None:
    """Without a way that keeps the batch free the cheapest other one is best."""
    recipes = (recipe("fixed", "a", "z", dynamic_batch=False),)
    best = best_route("a", "z", recipes)
    assert (best.names, best.dynamic_batch) == (("fixed",), False)


def test_an_environment_of_its_own_is_the_last_resort() -> None:
    """A way through an environment that may have to be downloaded comes after every other."""
    recipes = (
        recipe("own", "a", "z", environment=lambda: None),
        recipe("fixed", "a", "z", dynamic_batch=False, cost_s=99.0),
    )
    assert [way.names for way in routes("a", "z", recipes)] == [("fixed",), ("own",)]


def test_a_way_never_turns_back() -> None:
    """Cycles in the catalogue end the search."""
    recipes = (recipe("there", "a", "b"), recipe("back", "b", "a"), recipe("on", "b", "z"))
    assert [way.names for way in routes("a", "z", recipes)] == [("there", "on")]


def test_a_way_has_at_most_three_steps() -> None:
    """Longer ways are not searched."""
    recipes = tuple(recipe(f"{a}{b}", a, b) for a, b in ("ab", "bc", "cd", "de"))
    assert [way.names for way in routes("a", "d", recipes)] == [("ab", "bc", "cd")]
    assert routes("a", "e", recipes) == []


def test_a_precision_ends_with_the_step_that_makes_it() -> None:
    """The quantization is last; one that reads an earlier format saves the step between."""
    recipes = (
        recipe("convert", "a", "b"),
        recipe("on", "b", "z", cost_s=4.0),
        recipe("quantize", "z", "z", kind="quantize", precision="int8"),
        recipe("direct", "b", "z", kind="quantize", precision="int8", cost_s=2.0),
    )
    found = routes("a", "z", recipes, precision="int8")
    assert [way.names for way in found] == [("convert", "direct"), ("convert", "on", "quantize")]
    assert [way.names for way in routes("a", "z", recipes)] == [("convert", "on")]


def test_no_way_says_where_the_source_leads() -> None:
    """Where nothing leads there, the message names what can be reached."""
    with pytest.raises(FuroshikiError, match=r"No route leads from a to z\. From a it goes to b\.") as caught:
        best_route("a", "z", (recipe("there", "a", "b"), recipe("other", "c", "z")))
    assert caught.value.code is ErrorCode.MODEL_INVALID


def test_an_unknown_source_says_which_there_are() -> None:
    """Where nothing reads the source, the message names the sources."""
    with pytest.raises(FuroshikiError, match="Nothing converts q; sources are a, c"):
        best_route("q", "z", (recipe("there", "a", "b"), recipe("other", "c", "z")))


def test_what_is_missing_here_is_named() -> None:
    """A way whose distribution or environment is missing is refused with the reasons."""
    recipes = (
        recipe("absent", "a", "z", needs=("no-such-distribution",)),
        recipe("unmade", "a", "z", environment=missing),
    )
    with pytest.raises(FuroshikiError) as caught:
        best_route("a", "z", recipes)
    assert caught.value.code is ErrorCode.DEVICE_UNAVAILABLE
    assert "not installed: no-such-distribution" in caught.value.message
    assert "unmade: its environment cannot be made" in caught.value.message


def test_alternatives_satisfy_a_need() -> None:
    """``a|b`` is satisfied by either distribution."""
    assert recipe("either", "a", "z", needs=("no-such-distribution|msgspec",)).available() is None


def test_every_recipe_keeps_the_port() -> None:
    """Names are unique, work names a module and a function, formats are known, quantizations name a precision."""
    names = [each.name for each in every()]
    assert len(set(names)) == len(names)
    for each in OURS:
        assert isinstance(each, Recipe)
        assert each.work.startswith("converters.")
        assert each.work.count(":") == 1
        assert {each.source.partition("(")[0], each.target} <= set(FORMATS)
        assert (each.kind == "quantize") == (each.precision is not None)
        assert recipe_named(each.name) is each


def test_every_source_reaches_a_runner() -> None:
    """From every source format some executable format is reached, whatever is installed."""
    executable = {form.name for form in FORMATS.values() if form.executable}
    for source in {each.source for each in RECIPES}:
        assert any(routes(source, target) for target in executable - {source}), source


def test_a_pair_that_no_model_gets_through_is_refused_with_the_reason() -> None:
    """Recipes that only seem to connect are no route."""
    with pytest.raises(FuroshikiError, match=r"factory\(sklearn\) to tflite\. The reason: scikit-learn models become"):
        best_route("factory(sklearn)", "tflite")


def test_an_unknown_recipe_is_refused() -> None:
    """A name that no recipe has is the caller's mistake."""
    with pytest.raises(FuroshikiError, match="There is no recipe 'nonsense'"):
        recipe_named("nonsense")
