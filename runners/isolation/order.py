# SPDX-License-Identifier: Apache-2.0
"""What the process of a model is told when it starts, and what it reports once: that it has loaded the model, or why not."""

from __future__ import annotations

from typing import Final

import msgspec

from core.errors import FuroshikiError
from core.telemetry.logs import Style
from runners.interface import RunnerOptions
from runners.isolation.sealed import Index
from runners.remote.errors import described, revived
from runners.remote.limits import WireLimits
from runners.remote.messages import Failure


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to load and how to run it."""

    manifest: bytes  # the verified bundle's, canonical
    digest: str  # of the manifest
    key_id: str  # the key whose signature was verified
    index: Index  # of the verified files in sealed memory
    options: RunnerOptions
    wire: WireLimits
    inline_below_s: float
    memory_bytes: int | None
    confined: bool  # to what Python is made of and its temporary folder
    log_level: str
    log_style: Style


LOADED: Final = msgspec.msgpack.encode(None)
_ORDER: Final = msgspec.msgpack.Decoder(Order)
_REPORT: Final = msgspec.msgpack.Decoder(Failure | None)


def encode_order(order: Order) -> bytes:
    """The order as it lies in sealed memory."""
    return msgspec.msgpack.encode(order)


def decode_order(data: bytes) -> Order:
    """Reads :func:`encode_order`.

    Raises:
        msgspec.ValidationError: The data is no order.
    """
    return _ORDER.decode(data)


def refusal(error: FuroshikiError) -> bytes:
    """The report of a process that could not load its model."""
    return described(error)


def reported(report: bytes) -> FuroshikiError | None:
    """What a report says: the error, or None if the model is loaded.

    Raises:
        msgspec.DecodeError: It is no report.
    """
    failure = _REPORT.decode(report)
    return None if failure is None else revived(failure)
