# SPDX-License-Identifier: Apache-2.0
"""Tunings as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from artifacts.tuning import Tuning
from registry_api.jobs.interface import Fault
from registry_api.jobs.states import JobState
from registry_api.models.source import Source


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
    state: JobState
    result: Result | None  # None: not finished, or failed
    job_id: str
    error: Fault | None  # None: no failure
    created_at: datetime
    finished_at: datetime | None  # None: not ended
