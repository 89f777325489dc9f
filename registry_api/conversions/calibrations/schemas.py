# SPDX-License-Identifier: Apache-2.0
"""Calibration data as the API speaks of it."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from fastapi import Path
from pydantic import Field

from registry_api.conversions.calibrations.values import Calibration
from registry_api.http.fields import Outgoing, Timestamp

NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9_-]{0,79}\.(npz|safetensors)$"

CalibrationName: TypeAlias = Annotated[str, Field(pattern=NAME_PATTERN, max_length=100, examples=["digits.npz"])]
CalibrationPath: TypeAlias = Annotated[str, Path(pattern=NAME_PATTERN, max_length=100, examples=["digits.npz"])]


class CalibrationOut(Outgoing):
    """Calibration data of a model: named arrays of real inputs."""

    model: str
    name: str
    size: int = Field(description="Bytes.")
    digest: str
    key_id: str = Field(description="The key that signed it.")
    created_at: Timestamp
    created_by: str

    @classmethod
    def of(cls, calibration: Calibration) -> CalibrationOut:
        """Shows calibration data."""
        return cls(
            model=calibration.model,
            name=calibration.name,
            size=calibration.size,
            digest=calibration.digest,
            key_id=calibration.key_id,
            created_at=calibration.created_at,
            created_by=calibration.created_by,
        )
