# SPDX-License-Identifier: Apache-2.0
"""A keyed request, its answer, and the effect that waits to be committed."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed:
    """A request with a key."""

    tenant: str
    route: str  # the name of the operation
    key_digest: str  # SHA-256 of the key, hexadecimal
    fingerprint: str  # SHA-256 of caller, method, path, query, If-Match and body, hexadecimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is sent again."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A request that had its effect."""

    fingerprint: str
    applied_at: datetime
    answer: Answer | None  # None: not known, or not kept


@dataclass(slots=True, kw_only=True)
class Pending:
    """The request that is being carried out. Its first commit records it; later ones have nothing to add."""

    keyed: Keyed
    at: datetime
    written: bool = False  # the row is in a transaction that has not ended
    applied: bool = False  # the row is committed
    open: bool = True  # False: the request has ended; what its tasks still commit is not its effect


PENDING: Final[ContextVar[Pending | None]] = ContextVar("furoshiki_idempotency", default=None)
