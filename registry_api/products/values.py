# SPDX-License-Identifier: Apache-2.0
"""What every product says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from registry_api.jobs.interface import Job
from registry_api.models.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A product as stored. A slice's own attributes say how it was asked for and what it became."""

    id: str
    source: Source  # the variant it is made of
    job: Job  # whose state is its own
    created_at: datetime
