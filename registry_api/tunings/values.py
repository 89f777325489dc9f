# SPDX-License-Identifier: Apache-2.0
"""Tunings as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from artifacts.tuning import Tuning
from core.errors import ErrorCode
from registry_api.jobs.interface import JobKind
from registry_api.products.kind import ProductKind
from registry_api.products.values import Product

TUNING: Final = ProductKind(name="tuning", job=JobKind.TUNE, unknown=ErrorCode.TUNING_NOT_FOUND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a tuning became."""

    tuning: Tuning
    document: bytes  # tuning.json
    key_id: str  # of the key that signed it


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningRecord(Product):
    """A tuning as stored."""

    result: Result | None  # None: not finished, or failed
