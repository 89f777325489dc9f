# SPDX-License-Identifier: Apache-2.0
"""Calibration data of models: real inputs that full int8 is made and compared with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from furoshiki.api import API
from furoshiki.errors import LOCAL_FILE, InvalidRequest
from furoshiki.resource import D, Resource, listing, operation
from furoshiki.steps import FileBody, Items, Request, Steps, path

_SEND_TIMEOUT: Final = 120.0  # seconds of silence tolerated while the data is stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Calibration data of a model."""

    model: str
    name: str
    size: int  # bytes
    digest: str
    key_id: str  # of the key that signed it
    created_at: datetime
    created_by: str


class Calibrations(Resource[D]):
    """``client.calibrations``."""

    @operation
    def put(self, model: str, file: Path | str, *, name: str | None = None) -> Steps[Calibration]:
        """Sends calibration data: an ``.npz`` or ``.safetensors`` file with one array per input, rows first.

        Args:
            model: The model.
            file: The file.
            name: What to call it; None: its own name.

        Raises:
            InvalidRequest: ``CLIENT_004`` if the file cannot be read.
            Conflict: ``STATE_002`` if the model has other data of that name.
        """
        location = Path(file)
        try:
            size = location.stat().st_size
        except OSError as error:
            raise InvalidRequest(LOCAL_FILE, f"Cannot read {str(file)!r}: {error.strerror}.") from None
        request = Request(
            method="PUT",
            path=API + path("models", model, "calibrations", name or location.name),
            headers={"Content-Type": "application/octet-stream"},
            body=FileBody(path=location, size=size),
            read_timeout=_SEND_TIMEOUT,
        )
        return (yield from self._api.fetch(request, Calibration))

    @listing
    def list(self, model: str) -> Items[Calibration]:
        """The model's calibration data, newest first."""
        yield from self._api.pages(path("models", model, "calibrations"), Calibration)
