# SPDX-License-Identifier: Apache-2.0
"""Which leases belong to workers that are gone, told without comparing clocks. Pure.

A worker that sends a delivery holds its lease: a random token in the row. Whoever has seen the same token for longer than
any attempt may take knows that its holder is gone. Only the time between two looks of one process counts, so a clock that
is set, or two machines whose clocks differ, neither steal a lease nor keep one for ever.
"""

from __future__ import annotations

from collections.abc import Mapping


class LeaseWatch:
    """What this process has seen of others' leases.

    Args:
        seconds: How long a lease may be held; longer than an attempt and its record take.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: dict[int, tuple[str, float]] = {}

    def lost(self, held: Mapping[int, str], now: float) -> dict[int, str]:
        """The leases whose holders are gone.

        Args:
            held: Tokens by delivery, as they are now.
            now: On the monotonic clock.
        """
        seen = {}
        for number, token in held.items():
            before = self._seen.get(number)
            seen[number] = before if before is not None and before[0] == token else (token, now)
        self._seen = seen
        return {number: token for number, (token, since) in seen.items() if now - since >= self._seconds}
