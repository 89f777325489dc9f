# SPDX-License-Identifier: Apache-2.0
"""What one load test sends, how fast, and what it must not exceed; written to a file for the Locust process to read.

The file holds API keys: write it into a private folder and delete it afterwards.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from core.tensors import Array, dtype_from_oip

PLAN_FILE: Final = "FUROSHIKI_LOAD_PLAN"  # environment variable that names the file


class Tensor(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor as the Open Inference Protocol writes it."""

    datatype: str
    shape: tuple[int, ...]
    data: list[Any]  # flat, row-major

    @classmethod
    def of(cls, array: Array, datatype: str) -> Tensor:
        """The tensor of an array."""
        return cls(datatype=datatype, shape=array.shape, data=array.ravel().tolist())

    def array(self) -> Array:
        """As numpy array; BYTES as array of objects."""
        if self.datatype == "BYTES":
            return np.array([text.encode() for text in self.data], dtype=object).reshape(self.shape)
        return np.array(self.data, dtype=dtype_from_oip(self.datatype).numpy).reshape(self.shape)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One request and the outputs its answer must have."""

    inputs: dict[str, Tensor]
    expected: dict[str, Tensor]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant's model."""

    tenant: str  # only for the report
    model: str
    key: str  # the tenant's API key
    cases: list[Case]


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """How many users come each second; a user sends one request and is gone."""

    rate: int = 100  # users a second at the end of the ramp
    ramp_s: float = 120.0  # from one user a second to ``rate``
    hold_s: float = 300.0  # at ``rate``

    def users(self, elapsed: float) -> int | None:
        """Users a second at a moment; None: the test is over."""
        if elapsed >= self.ramp_s + self.hold_s:
            return None
        share = min(1.0, elapsed / self.ramp_s) if self.ramp_s else 1.0
        return 1 + round((self.rate - 1) * share)

    @property
    def requests(self) -> float:
        """Requests of the whole test; each user's first comes half a second late on average."""
        return (1 + self.rate) / 2 * self.ramp_s + self.rate * (self.hold_s - 0.5)


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """What decides between pass and fail."""

    p95_ms: float = 150.0  # of all requests together, less than this
    success_percent: float = 99.5  # answered 200 with the right values, more than this
    sent_percent: float = 95.0  # of the planned requests; less means that the users were held up


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the Locust process needs."""

    host: str  # URL
    grpc: str | None  # host:port; None: no gRPC users
    targets: list[Target]
    profile: Profile
    thresholds: Thresholds

    def write(self, file: Path) -> None:
        """Writes it as JSON."""
        file.touch(mode=0o600)
        file.write_bytes(msgspec.json.encode(self))

    @classmethod
    def read(cls, file: Path) -> Plan:
        """Reads what ``write`` wrote."""
        return msgspec.json.decode(file.read_bytes(), type=cls)
