# SPDX-License-Identifier: Apache-2.0
"""A recipe whose code is imported when it runs: the catalogue is read in milliseconds and without any converter installed."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from converters.interface import ConvertOptions, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class LazyRecipe:
    """One row of the catalogue. See :class:`converters.interface.Recipe` for the meaning of the shared attributes."""

    name: str
    source: str
    target: str
    dynamic_batch: bool
    cost_s: float
    needs: tuple[str, ...]
    work: str  # "module:function", called as ``convert`` is
    kind: Kind = "convert"
    precision: str | None = None
    environment: Callable[[], str | None] | None = None  # a further condition: None if it holds, else the reason

    def available(self) -> str | None:
        """None if it can run here, else the reason and the remedy."""
        missing = [name for name in self.needs if installed(name) is None]
        if missing:
            return f"not installed: {', '.join(missing)}; install deploy/locks/converters.txt"
        return self.environment() if self.environment is not None else None

    def convert(self, source: Path, target: Path, options: ConvertOptions) -> None:
        """Imports the work and does it."""
        module, function = self.work.split(":")
        getattr(importlib.import_module(module), function)(source, target, options)


def installed(distribution: str) -> str | None:
    """The version of an installed distribution; None: it is not installed. ``a|b`` names alternatives."""
    for name in distribution.split("|"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None
