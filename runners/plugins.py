# SPDX-License-Identifier: Apache-2.0
"""Which backends this installation has: our own and those of other distributions, each with a reason where it cannot run.

A distribution offers a backend by an entry point of the group ``furoshiki.runners`` whose object is a
:class:`~runners.interface.RunnerPlugin`, or a class that makes one without arguments. Installing a distribution is consent to
run its code; what the code does wrong is contained as far as Python allows: a plugin that cannot be imported, names another
version of the port, says nonsense about itself, or claims a name that is taken is listed with that reason and never used.
Our own backends come first, so that no plugin takes their place for a format and device they serve.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any, Final

from core.errors import ErrorCode, Unavailable
from core.telemetry.logs import get_logger
from runners.interface import PORT_VERSION, Backend, RunnerPlugin

GROUP: Final = "furoshiki.runners"
OURS: Final = "furoshiki"
_WORD: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_CONTAINED: Final = (Exception, SystemExit)  # what a plugin's code may raise without ending the process

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One backend that this installation has, or would have."""

    name: str
    formats: frozenset[str]
    device: str
    origin: str  # the distribution it comes from
    reason: str | None  # why it cannot be used here; None: it can
    make: Callable[[], Backend]

    def backend(self) -> Backend:
        """The backend; imports its runtime.

        Raises:
            Unavailable: ``DEVICE_001`` with the reason if it cannot be used here.
        """
        if self.reason is not None:
            raise Unavailable(ErrorCode.DEVICE_UNAVAILABLE, f"Runner {self.name!r} is not available: {self.reason}")
        try:
            return self.make()
        except _CONTAINED as error:
            raise Unavailable(
                ErrorCode.DEVICE_UNAVAILABLE, f"Runner {self.name!r} cannot be made: {_said(error)}"
            ) from error


def offers(builtin: Iterable[RunnerPlugin], entry_points: Iterable[metadata.EntryPoint] | None = None) -> list[Offer]:
    """Everything that is offered, our own first.

    Args:
        builtin: Our own, in the order of preference.
        entry_points: Of other distributions; None: of those installed.
    """
    found = [_offer(plugin, plugin.name, OURS) for plugin in builtin]
    names = {offer.name for offer in found}
    points = metadata.entry_points(group=GROUP) if entry_points is None else entry_points
    for point in sorted(points, key=lambda point: (point.name, point.value)):
        offer = _loaded(point)
        if offer.name in names:
            offer = _disabled(point, f"its name {offer.name!r} is taken; it must be another")
        names.add(offer.name)
        found.append(offer)
        if offer.origin != OURS and offer.reason is not None:
            log.warning("runner_plugin_disabled", plugin=point.name, origin=offer.origin, reason=offer.reason)
    return found


def _loaded(point: metadata.EntryPoint) -> Offer:
    """The offer of an entry point, whatever its code does."""
    try:
        plugin = point.load()
        if isinstance(plugin, type):
            plugin = plugin()
        wrong = _wrong(plugin)
        return _disabled(point, wrong) if wrong is not None else _offer(plugin, point.name, _origin(point))
    except _CONTAINED as error:
        return _disabled(point, f"its entry point failed: {_said(error)}")


def _wrong(plugin: Any) -> str | None:
    """What a plugin says about itself that cannot be."""
    if plugin.port != PORT_VERSION:
        return f"it is written for version {plugin.port!r} of the runner port; this is version {PORT_VERSION}"
    for key in ("name", "device"):
        value = getattr(plugin, key)
        if not isinstance(value, str) or _WORD.fullmatch(value) is None:
            return f"its {key} is {value!r}; expected 1 to 32 characters of a-z, 0-9, '.', '_', '-'"
    formats = plugin.formats
    if not isinstance(formats, frozenset) or not formats or not all(isinstance(name, str) for name in formats):
        return f"its formats are {formats!r}; expected a frozenset of names"
    return None


def _offer(plugin: RunnerPlugin, name: str, origin: str) -> Offer:
    try:
        reason = plugin.is_available()
    except _CONTAINED as error:
        reason = f"is_available() of {name!r} failed: {_said(error)}"
    return Offer(
        name=plugin.name,
        formats=plugin.formats,
        device=plugin.device,
        origin=origin,
        reason=None if reason is None else str(reason)[:400],
        make=cache(plugin.backend),
    )


def _disabled(point: metadata.EntryPoint, reason: str) -> Offer:
    def nothing() -> Backend:
        raise Unavailable(ErrorCode.DEVICE_UNAVAILABLE, reason)

    return Offer(
        name=f"{_origin(point)}:{point.name}",
        formats=frozenset(),
        device="",
        origin=_origin(point),
        reason=reason,
        make=nothing,
    )


def _origin(point: metadata.EntryPoint) -> str:
    return "unknown" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
