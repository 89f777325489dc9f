# SPDX-License-Identifier: Apache-2.0
"""Runs of commands."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How one run of ``furo`` ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed with ``-o json``."""
        return json.loads(self.out)
