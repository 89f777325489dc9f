# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of leases: how long one lasts, how often it is renewed, when a failed attempt is repeated.

Law: a worker that has not renewed a lease for ``seconds`` stops the work itself, so that two workers never work on one job
for longer than their clocks disagree; and a result is applied only under the token of the current lease.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from core.errors import ErrorCode, InitError

_LONGEST_PAUSE: Final = 60.0  # seconds before a further attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasePolicy:
    """How leases behave.

    Raises:
        InitError: ``INIT_002`` unless a lease outlives at least two heartbeats.
    """

    seconds: float = 30.0  # life of a lease since its last heartbeat
    heartbeat_seconds: float = 1.0  # between heartbeats
    max_attempts: int = 3
    retry_seconds: float = 2.0  # pause before the second attempt; doubles with each further one, up to a minute
    log_bytes: int = 1 << 20  # the most bytes of log kept for one job

    def __post_init__(self) -> None:
        if self.seconds < 2 * self.heartbeat_seconds:
            raise InitError(
                ErrorCode.SETTING_INVALID,
                f"A lease of {self.seconds} s must last at least two heartbeats of {self.heartbeat_seconds} s.",
            )

    def expiry(self, now: datetime) -> datetime:
        """When a lease taken or renewed at ``now`` expires."""
        return now + timedelta(seconds=self.seconds)

    def retry_at(self, now: datetime, *, attempt: int) -> datetime:
        """When a job whose ``attempt`` (from 1) failed at ``now`` may be claimed again."""
        pause = self.retry_seconds * 2.0 ** min(attempt - 1, 30)
        return now + timedelta(seconds=min(pause, _LONGEST_PAUSE))


def new_token() -> str:
    """A lease token that cannot be guessed (128 bits)."""
    return secrets.token_hex(16)


@dataclass(slots=True)
class Backoff:
    """The pause between two looks for work: short after work was found, doubling to ``longest`` while there is none."""

    shortest: float = 0.05  # seconds
    longest: float = 1.0  # seconds
    _next: float = 0.0

    def found(self) -> None:
        """Work was found: look again soon."""
        self._next = 0.0

    def pause(self) -> float:
        """Seconds to wait now."""
        self._next = min(max(self._next * 2, self.shortest), self.longest)
        return self._next
