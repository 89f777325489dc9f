# SPDX-License-Identifier: Apache-2.0
"""Recipes of other distributions, offered by entry points of the group ``furoshiki.converters``.

An entry point's object is a :class:`ConverterPlugin`, or a class that makes one without arguments; see :mod:`core.plugins` on
one that fails. Its recipes join the search for routes as ours do, run in the same sandbox, and what they make
passes the same comparison with its source. They read and write the formats of :mod:`artifacts.formats`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib import metadata
from typing import Any, Final, Protocol

from artifacts.formats import FORMATS
from converters.interface import PORT_VERSION, Recipe
from core.plugins import Plugin, plugins

GROUP: Final = "furoshiki.converters"


class ConverterPlugin(Protocol):
    """Offers recipes."""

    @property
    def port(self) -> int:
        """The :data:`~converters.interface.PORT_VERSION` it was written for."""
        ...

    @property
    def name(self) -> str:
        """Of the plugin, unique in an installation."""
        ...

    def is_available(self) -> str | None:
        """None if its recipes can run here, else the reason and the remedy. Cheap; imports no converter."""
        ...

    def recipes(self) -> Sequence[Recipe]:
        """Its recipes, under names that nobody else uses."""
        ...


def offered(
    taken: Iterable[str], entry_points: Iterable[metadata.EntryPoint] | None = None
) -> tuple[Plugin[ConverterPlugin], ...]:
    """Every plugin, those that cannot be used with the reason.

    Args:
        taken: Names of recipes that no plugin's may have.
        entry_points: Of the group; None: of the distributions that are installed.
    """
    names = set(taken)

    def wrong(plugin: Any) -> str | None:
        recipes = tuple(plugin.recipes())
        fault = next((found for recipe in recipes if (found := _wrong(recipe, names))), None)
        if fault is None:
            names.update(recipe.name for recipe in recipes)
        return fault

    return tuple(plugins(GROUP, port=PORT_VERSION, wrong=wrong, entry_points=entry_points))


def usable(found: Iterable[Plugin[ConverterPlugin]]) -> tuple[Recipe, ...]:
    """The recipes of those that can be used."""
    return tuple(
        recipe
        for plugin in found
        if plugin.value is not None and plugin.reason is None
        for recipe in plugin.value.recipes()
    )


@cache
def installed(taken: tuple[str, ...]) -> tuple[Plugin[ConverterPlugin], ...]:
    """:func:`offered`, asked once in a process."""
    return offered(taken)


def _wrong(recipe: Any, names: set[str]) -> str | None:
    if not isinstance(recipe, Recipe):
        return f"its recipe {recipe!r} is none"
    if recipe.name in names:
        return f"its recipe's name {recipe.name!r} is taken; it must be another"
    for end in (recipe.source, recipe.target):
        if end.partition("(")[0] not in FORMATS:
            return f"its recipe {recipe.name!r} names the format {end!r}; known are {', '.join(FORMATS)}"
    if recipe.kind == "quantize" and (recipe.source != recipe.target or recipe.precision is None):
        return f"its recipe {recipe.name!r} quantizes, but not from a format to a precision of the same"
    return None
