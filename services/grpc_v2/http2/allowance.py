# SPDX-License-Identifier: Apache-2.0
"""What a client may ask of a connection without a call that is answered.

Resets, settings, empty frames and frames on ended streams cost the server work and the client next to nothing: so did the
"rapid reset" of CVE-2023-44487. Each is paid from an allowance that answered calls and time refill; who has used it up is
disconnected.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from services.grpc_v2.http2.frames import Code, ConnectionFault

_PER_S: Final = 100.0
_PINGS: Final = 2  # early ones in a row that are forgiven


class Allowance:
    """The allowance of one connection.

    Args:
        most: What it holds when full; a client may cancel as many calls at once.
        ping_interval_s: The least pause between two pings without an answer between them.
        now: A clock in seconds.
    """

    __slots__ = ("_early", "_interval_s", "_left", "_most", "_now", "_pinged", "_refilled", "answered")

    def __init__(self, most: int, ping_interval_s: float, now: Callable[[], float]) -> None:
        self._most = most
        self._left = float(most)
        self._now = now
        self._refilled = now()
        self._interval_s = ping_interval_s
        self._pinged = float("-inf")
        self._early = 0
        self.answered = 0  # calls since it was refilled

    def spend(self) -> None:
        """Pays for one frame.

        Raises:
            ConnectionFault: If nothing is left.
        """
        self._left -= 1
        if self._left >= 0:
            return
        now = self._now()
        self._left += self.answered + (now - self._refilled) * _PER_S
        self._left = min(self._left, self._most)
        self.answered, self._refilled = 0, now
        if self._left < 0:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "too many frames without calls")

    def ping(self) -> None:
        """Takes a ping.

        Raises:
            ConnectionFault: If they come too often.
        """
        now = self._now()
        early, self._pinged = now - self._pinged < self._interval_s, now
        self._early = self._early + 1 if early else 0
        if self._early > _PINGS:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "too_many_pings")

    def wrote(self) -> None:
        """Something of a call was written: a client measures the line with pings then."""
        self._early = 0
        self._pinged = float("-inf")
