# SPDX-License-Identifier: Apache-2.0
"""Which models get a process of their own, and what such a process may use.

The operator decides for all models, or leaves it to each: a model whose signed manifest says ``runner.isolation: process``
in its metadata gets one even where the others do not. A manifest cannot take it away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from core.errors import ErrorCode, ModelError
from core.telemetry.logs import Style
from runners.remote.limits import WireLimits

Mode: TypeAlias = Literal["thread", "process"]

ISOLATION: Final = "runner.isolation"
"""Key of the manifest's metadata that asks for a process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolationOptions:
    """How models are isolated."""

    mode: Mode = "thread"  # of models whose manifest does not ask for more
    start_s: float = 120.0  # a process may take to load its model
    hang_s: float = 60.0  # without a sign of life, after which a process is ended and started again
    memory_bytes: int | None = None  # a process may have for itself; None: no limit
    inline_below_s: float = 0.001  # shorter batches run on the process's event loop, which holds up no other model
    wire: WireLimits = field(default_factory=WireLimits)
    log_level: str = "INFO"
    log_style: Style = "auto"

    def wanted(self, metadata: Mapping[str, str]) -> bool:
        """Whether a model with this metadata gets a process.

        Raises:
            ModelError: ``MODEL_003`` if the metadata says neither ``thread`` nor ``process``.
        """
        asked = metadata.get(ISOLATION, "thread")
        if asked not in ("thread", "process"):
            raise ModelError(
                ErrorCode.MODEL_INVALID,
                f"The model's metadata {ISOLATION} is {asked[:200]!r}: expected 'thread' or 'process'.",
            )
        return "process" in (asked, self.mode)
