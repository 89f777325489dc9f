# SPDX-License-Identifier: Apache-2.0
"""Tunings as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from artifacts.tuning import Tuning
from core.errors import ErrorCode
from registry_api.jobs.interface import Job, JobKind
from registry_api.jobs.products.kind import ProductKind
from registry_api.models.source import Source

TUNING: Final = ProductKind(name="tuning", job=JobKind.TUNE, unknown=ErrorCode.TUNING_NOT_FOUND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a tuning became."""

    tuning: Tuning
    document: bytes  # tuning.json
    key_id: str  # of the key that signed it


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningRecord:
    """A tuning as stored."""

    id: str
    source: Source
    job: Job  # whose state is its own
    result: Result | None  # None: not finished, or failed
    created_at: datetime
