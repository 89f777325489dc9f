# SPDX-License-Identifier: Apache-2.0
"""Entries as they travel: JSON, the fields of ``POST /api/v1/requests``. Durations are whole microseconds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

import msgspec

from services.dataplane.requestlog.log import Entry

MOST_ENTRIES: Final = 1000  # of one batch; the registry takes no more
_LONGEST: Final = 128  # characters of an id


class Logged(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One request."""

    tenant: str
    at: datetime
    model: str
    version: str
    code: str
    protocol: str
    key_id: str
    total_us: int
    runner: str
    rows: int = 0
    request_id: str | None = None
    queue_us: int | None = None
    compute_us: int | None = None
    weight: float = 1.0


class Batch(msgspec.Struct, kw_only=True):
    """What is delivered at once; delivered twice, it counts once."""

    id: str
    requests: list[Logged]


_encoder: Final = msgspec.json.Encoder()


def batch_of(entries: Sequence[Entry]) -> Batch:
    """A new batch of at most ``MOST_ENTRIES`` entries."""
    return Batch(id=uuid4().hex, requests=[_logged(entry) for entry in entries])


def as_json(batch: Batch) -> bytes:
    """The body of a delivery."""
    return _encoder.encode(batch)


def as_lines(batch: Batch) -> bytes:
    """One JSON object per line."""
    return _encoder.encode_lines(batch.requests)


def _logged(entry: Entry) -> Logged:
    at, tenant, key_id, model, request_id, code, protocol, rows, seconds, waited, computed, weight = entry
    return Logged(
        tenant=tenant,
        at=datetime.fromtimestamp(at, UTC),
        model=model.model,
        version=model.version,
        code=code,
        protocol=protocol,
        key_id=key_id if _is_token(key_id) else "other",
        total_us=_microseconds(seconds),
        runner=model.handle.runner,
        rows=rows,
        request_id=request_id if request_id is not None and _is_token(request_id) else None,
        queue_us=None if waited is None else _microseconds(waited),
        compute_us=None if computed is None else _microseconds(computed),
        weight=weight,
    )


def _is_token(text: str) -> bool:
    """Whether the registry takes it for an id: printable ASCII without blanks."""
    return 0 < len(text) <= _LONGEST and text.isascii() and text.isprintable() and " " not in text


def _microseconds(seconds: float) -> int:
    return max(0, int(seconds * 1e6))
