# SPDX-License-Identifier: Apache-2.0
"""Finds what other distributions offer through entry points, each with a reason where it cannot be used.

A group of entry points is a port: its objects, or classes that make them without arguments, say for which version of the port
they are written (``port``), what they are called (``name``) and whether they can be used here (``is_available()``: None, or
the reason and the remedy). Installing a distribution is consent to run its code; what that does wrong is contained as far as
Python allows: a plugin that cannot be imported, is for another version, says nonsense about itself, or claims a name that is
taken is listed with that reason, logged, and never used. Names that are given first, our own, are never taken over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Final, Generic, TypeVar

from core.telemetry.logs import get_logger

P = TypeVar("P")

CONTAINED: Final = (Exception, SystemExit)
"""What a plugin's code may raise without ending the process."""

_WORD: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin(Generic[P]):
    """What one entry point offers."""

    name: str  # its own; of one that is disabled, "<distribution>:<entry point>"
    origin: str  # distribution and version
    value: P | None  # None: it is disabled
    reason: str | None  # why it cannot be used here; None: it can


def plugins(
    group: str,
    *,
    port: int,
    wrong: Callable[[Any], str | None] = lambda _: None,
    taken: Iterable[str] = (),
    entry_points: Iterable[metadata.EntryPoint] | None = None,
) -> list[Plugin[Any]]:
    """Everything that is offered in a group, in the order of its names.

    Args:
        group: For example ``furoshiki.runners``.
        port: The version of the port that this program speaks.
        wrong: What a plugin says about itself that cannot be; None: nothing.
        taken: Names that no plugin may have.
        entry_points: Of the group; None: of the distributions that are installed.
    """
    names, found = set(taken), []
    points = metadata.entry_points(group=group) if entry_points is None else entry_points
    for point in sorted(points, key=lambda point: (point.name, point.value)):
        plugin = _loaded(point, port, wrong)
        if plugin.name in names:
            plugin = _disabled(point, f"its name {plugin.name!r} is taken; it must be another")
        names.add(plugin.name)
        found.append(plugin)
        if plugin.reason is not None:
            log.warning("plugin_disabled", group=group, plugin=point.name, origin=plugin.origin, reason=plugin.reason)
    return found


def why_not(plugin: Any) -> str | None:
    """What ``is_available()`` says, whatever its code does."""
    try:
        reason = plugin.is_available()
    except CONTAINED as error:
        return f"is_available() of {plugin.name!r} failed: {said(error)}"
    return None if reason is None else str(reason)[:400]


def said(error: BaseException) -> str:
    """An exception of a plugin in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def bad_word(plugin: Any, attribute: str) -> str | None:
    """What is wrong with a word that a plugin says about itself; None: nothing."""
    value = getattr(plugin, attribute)
    if isinstance(value, str) and _WORD.fullmatch(value):
        return None
    return f"its {attribute} is {value!r}; expected 1 to 32 characters of a-z, 0-9, '.', '_', '-'"


def _loaded(point: metadata.EntryPoint, port: int, wrong: Callable[[Any], str | None]) -> Plugin[Any]:
    try:
        value = point.load()
        if isinstance(value, type):
            value = value()
        if value.port != port:
            return _disabled(point, f"it is written for version {value.port!r} of the port; this is version {port}")
        fault = bad_word(value, "name") or wrong(value)
        if fault is not None:
            return _disabled(point, fault)
        return Plugin(name=value.name, origin=_origin(point), value=value, reason=why_not(value))
    except CONTAINED as error:
        return _disabled(point, f"its entry point failed: {said(error)}")


def _disabled(point: metadata.EntryPoint, reason: str) -> Plugin[Any]:
    return Plugin(name=f"{_origin(point)}:{point.name}", origin=_origin(point), value=None, reason=reason)


def _origin(point: metadata.EntryPoint) -> str:
    return "unknown" if point.dist is None else f"{point.dist.name} {point.dist.version}"
