# SPDX-License-Identifier: Apache-2.0
"""Every recipe, ours and those of plugins, and the way from one format to another through them.

Formats are those of :mod:`artifacts.formats`; a factory is one format per framework, ``factory(torch)``. Rules of the search:
a way never visits a format twice and has at most :data:`MAX_STEPS` steps besides a quantization; of those whose recipes can
all run here, one without an environment of its own (2 GB to download) is preferred, then one that keeps a batch of any size,
then the cheapest. Where there is no way, the answer says why: nothing in the catalogue leads there, or what is missing here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from converters.interface import Recipe
from converters.lazy import LazyRecipe
from converters.plugins import ConverterPlugin, installed, usable
from converters.quantization.catalogue import QUANTIZE
from converters.recipes.catalogue import HOLES, RECIPES
from core.errors import ErrorCode, ModelError, Unavailable
from core.plugins import Plugin

MAX_STEPS: Final = 3

OURS: Final[tuple[LazyRecipe, ...]] = (*RECIPES, *QUANTIZE)
"""Conversions and quantizations of this distribution."""


def others() -> tuple[Plugin[ConverterPlugin], ...]:
    """What other distributions offer, those that cannot be used with the reason."""
    return installed(tuple(recipe.name for recipe in OURS))


def every() -> tuple[Recipe, ...]:
    """Every recipe that there is, ours first."""
    return (*OURS, *usable(others()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One way from a format to another. Empty where they are the same."""

    steps: tuple[Recipe, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of its recipes, in order."""
        return tuple(step.name for step in self.steps)

    @property
    def dynamic_batch(self) -> bool:
        """Whether a batch of any size stays one all the way."""
        return all(step.dynamic_batch for step in self.steps)

    @property
    def cost_s(self) -> float:
        """Seconds that a small model takes on two cores."""
        return sum(step.cost_s for step in self.steps)

    @property
    def own_environment(self) -> bool:
        """Whether a step runs in an environment of its own, which may have to be made."""
        return any(getattr(step, "environment", None) is not None for step in self.steps)

    def available(self) -> str | None:
        """None if every step can run here, else the first reason."""
        for step in self.steps:
            reason = step.available()
            if reason is not None:
                return f"{step.name}: {reason}"
        return None


def recipe_named(name: str, recipes: Sequence[Recipe] | None = None) -> Recipe:
    """The recipe of that name, of those given or of every.

    Raises:
        ModelError: ``MODEL_003`` if there is none.
    """
    found = next((recipe for recipe in recipes or every() if recipe.name == name), None)
    if found is None:
        raise ModelError(ErrorCode.MODEL_INVALID, f"There is no recipe {name[:64]!r}; see `python -m converters list`.")
    return found


def routes(
    source: str, target: str, recipes: Sequence[Recipe] | None = None, *, precision: str = "fp32"
) -> list[Route]:
    """Every way, the best first.

    Args:
        source: Format.
        target: Format.
        recipes: The steps there are; None: every one.
        precision: Of the result; another than "fp32" ends with a step that makes it.
    """
    if (source, target) in HOLES:
        return []
    recipes = recipes or every()
    conversions = tuple(recipe for recipe in recipes if recipe.kind == "convert")
    if precision == "fp32":
        found = [Route(steps=steps) for steps in _ways(source, target, conversions, (source,))]
    else:
        found = [
            Route(steps=(*steps, last))
            for last in recipes
            if last.kind == "quantize" and (last.target, last.precision) == (target, precision)
            for steps in _ways(source, last.source, conversions, (source,))
        ]
    return sorted(found, key=_rank)


def best_route(source: str, target: str, recipes: Sequence[Recipe] | None = None, *, precision: str = "fp32") -> Route:
    """The best way that can run here, by the rules above.

    Raises:
        ModelError: ``MODEL_003`` if nothing in the catalogue leads there.
        Unavailable: ``DEVICE_001`` if what leads there cannot run here, with the reasons.
    """
    recipes = recipes or every()
    ways = routes(source, target, recipes, precision=precision)
    wanted = target if precision == "fp32" else f"{target} in {precision}"
    if not ways:
        raise ModelError(
            ErrorCode.MODEL_INVALID, f"No route leads from {source} to {wanted}. {_reach(source, target, recipes)}"
        )
    reasons: list[str] = []
    for way in ways:
        reason = way.available()
        if reason is None:
            return way
        reasons.append(reason)
    known = "; ".join(dict.fromkeys(reasons))
    raise Unavailable(ErrorCode.DEVICE_UNAVAILABLE, f"No route from {source} to {wanted} can run here: {known}.")


def _rank(route: Route) -> tuple[bool, bool, float, tuple[str, ...]]:
    return route.own_environment, not route.dynamic_batch, route.cost_s, route.names


def _ways(source: str, target: str, recipes: tuple[Recipe, ...], seen: tuple[str, ...]) -> Iterator[tuple[Recipe, ...]]:
    if source == target:
        yield ()
        return
    if len(seen) > MAX_STEPS:
        return
    for recipe in recipes:
        if recipe.source == source and recipe.target not in seen:
            for rest in _ways(recipe.target, target, recipes, (*seen, recipe.target)):
                yield (recipe, *rest)


def _reach(source: str, target: str, recipes: Sequence[Recipe]) -> str:
    if (source, target) in HOLES:
        return f"The reason: {HOLES[source, target]}"
    targets = sorted({recipe.target for recipe in recipes} - {source})
    reached = [target for target in targets if routes(source, target, recipes)]
    if reached:
        return f"From {source} it goes to {', '.join(reached)}."
    sources = ", ".join(sorted({recipe.source for recipe in recipes}))
    return f"Nothing converts {source}; sources are {sources}."
