# SPDX-License-Identifier: Apache-2.0
"""Stage changes as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from registry_api.models.values import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChange:
    """One move of one version. Written once, never changed."""

    id: int  # ascending in time; 0 before it is written
    tenant: str
    model: str
    version: int
    before: Stage
    after: Stage
    reason: str
    actor: str  # name of the API key
    actor_key: str  # its id
    at: datetime
