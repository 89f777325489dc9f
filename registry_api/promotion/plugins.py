# SPDX-License-Identifier: Apache-2.0
"""Gates of other distributions, offered by entry points of the group ``furoshiki.gates``.

An entry point's object is a :class:`GatePlugin`, or a class that makes one without arguments; see :mod:`core.plugins` on
one that fails. A tenant asks for it by name in the gates of a target. A gate that is asked for and cannot judge, because it
is not installed any more or its code fails, is not met: nothing enters a stage unjudged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Final, Protocol, TypeAlias

from core.plugins import CONTAINED, Plugin, plugins, said
from registry_api.promotion.gates import Findings, Gate

GROUP: Final = "furoshiki.gates"
PORT_VERSION: Final = 1
"""Of this port. A plugin written for another version is refused."""


class GatePlugin(Protocol):
    """One more gate."""

    @property
    def port(self) -> int:
        """The :data:`PORT_VERSION` it was written for."""
        ...

    @property
    def name(self) -> str:
        """What tenants ask for it by."""
        ...

    def is_available(self) -> str | None:
        """None if it can judge here, else the reason and the remedy."""
        ...

    def unmet(self, findings: Findings) -> str | None:
        """Judges; None if it is met, else what is wrong and how to meet it.

        Called on the event loop inside the transaction of the move: it computes from the findings and waits for nothing.
        """
        ...


GatePlugins: TypeAlias = Mapping[str, Plugin[GatePlugin]]
"""By name, those that cannot be used too."""


def gate_plugins(entry_points: Iterable[metadata.EntryPoint] | None = None) -> GatePlugins:
    """What is installed.

    Args:
        entry_points: Of the group; None: of the distributions that are installed.
    """
    return {
        found.name: found for found in plugins(GROUP, port=PORT_VERSION, taken=tuple(Gate), entry_points=entry_points)
    }


def judge(name: str, known: GatePlugins, findings: Findings) -> str | None:
    """What one gate says; None: it is met."""
    found = known.get(name)
    if found is None:
        return f"No gate {name!r} is installed. Install it, or take it out of the rules of this target."
    if found.value is None or found.reason is not None:
        return f"Gate {name!r} ({found.origin}) cannot judge: {found.reason}"
    try:
        message = found.value.unmet(findings)
    except CONTAINED as error:
        return f"Gate {name!r} ({found.origin}) failed: {said(error)}"
    return None if message is None else str(message)[:1000]
