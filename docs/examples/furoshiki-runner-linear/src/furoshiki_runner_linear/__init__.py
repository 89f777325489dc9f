# SPDX-License-Identifier: Apache-2.0
"""What the server learns of this distribution before it needs it. Imports nothing of the runtime."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runners.interface import Backend


class LinearPlugin:
    """Offers the runner of ``linear`` models."""

    port = 1
    name = "linear-cpu"
    formats = frozenset({"linear"})
    device = "cpu"

    def is_available(self) -> str | None:
        return None if find_spec("numpy") is not None else "numpy is not installed; install it"

    def backend(self) -> Backend:
        from furoshiki_runner_linear.backend import LinearBackend

        return LinearBackend()
