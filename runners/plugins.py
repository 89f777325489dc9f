# SPDX-License-Identifier: Apache-2.0
"""Which backends this installation has: our own and those of other distributions, each with a reason where it cannot run.

A distribution offers a backend by an entry point of the group ``furoshiki.runners`` whose object is a
:class:`~runners.interface.RunnerPlugin`, or a class that makes one without arguments; see :mod:`core.plugins` for what
becomes of one that fails. Our own backends come first: no plugin takes their place for a format and device they serve.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any, Final

from core.errors import ErrorCode, Unavailable
from core.plugins import CONTAINED, Plugin, bad_word, plugins, said, why_not
from runners.interface import PORT_VERSION, Backend, RunnerPlugin

GROUP: Final = "furoshiki.runners"
OURS: Final = "furoshiki"


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
        except CONTAINED as error:
            raise Unavailable(
                ErrorCode.DEVICE_UNAVAILABLE, f"Runner {self.name!r} cannot be made: {said(error)}"
            ) from error


def offers(builtin: Iterable[RunnerPlugin], entry_points: Iterable[metadata.EntryPoint] | None = None) -> list[Offer]:
    """Everything that is offered, our own first.

    Args:
        builtin: Our own, in the order of preference.
        entry_points: Of other distributions; None: of those installed.
    """
    ours = [_offer(plugin, OURS, why_not(plugin)) for plugin in builtin]
    taken = {offer.name for offer in ours}
    others = plugins(GROUP, port=PORT_VERSION, wrong=_wrong, taken=taken, entry_points=entry_points)
    return [*ours, *map(_other, others)]


def _wrong(plugin: Any) -> str | None:
    """What a plugin says about itself that cannot be."""
    formats = plugin.formats
    if not isinstance(formats, frozenset) or not formats or not all(isinstance(name, str) for name in formats):
        return f"its formats are {formats!r}; expected a frozenset of names"
    return bad_word(plugin, "device")


def _other(found: Plugin[RunnerPlugin]) -> Offer:
    if found.value is not None:
        return _offer(found.value, found.origin, found.reason)

    def nothing() -> Backend:
        raise Unavailable(ErrorCode.DEVICE_UNAVAILABLE, str(found.reason))

    return Offer(
        name=found.name, formats=frozenset(), device="", origin=found.origin, reason=found.reason, make=nothing
    )


def _offer(plugin: RunnerPlugin, origin: str, reason: str | None) -> Offer:
    return Offer(
        name=plugin.name,
        formats=plugin.formats,
        device=plugin.device,
        origin=origin,
        reason=reason,
        make=cache(plugin.backend),
    )
