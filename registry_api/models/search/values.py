# SPDX-License-Identifier: Apache-2.0
"""What a caller looks for, and in which order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from registry_api.models.values import Stage


class ModelOrder(StrEnum):
    """Orders of the list of models; a minus is the other way round."""

    NAME = "name"
    NAME_DOWN = "-name"
    CREATED = "created_at"
    CREATED_DOWN = "-created_at"
    UPDATED = "updated_at"
    UPDATED_DOWN = "-updated_at"

    @property
    def field(self) -> str:
        """The field it goes by."""
        return self.value.removeprefix("-")

    @property
    def down(self) -> bool:
        """Whether the largest comes first."""
        return self.value.startswith("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFilter:
    """Which models; every condition must hold."""

    words: tuple[str, ...] | None = None  # each begins a word of the model; (): nothing does; None: no condition
    tags: tuple[str, ...] = ()  # "key:value", or "key" with whatever value
    stage: Stage | None = None  # of some version
    format: str | None = None  # of some version
    created_after: datetime | None = None  # not at that moment itself
    created_before: datetime | None = None
    deleted: bool = False  # those that can be restored, in place of the others
    order: ModelOrder = ModelOrder.NAME


EVERY_MODEL = ModelFilter()
