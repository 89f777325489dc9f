# SPDX-License-Identifier: Apache-2.0
"""Tells which machines are silent, by whether what they wrote last has changed.

No clock of one machine is ever compared with another's, and wall time takes no part: set back or forward, it kills nothing.

Laws. A machine is silent once its beat has not changed for ``seconds`` of this process's monotonic time, in which this
process looked at least every half of that. After a longer gap (it was suspended, or the database was away, so nobody could
beat) it knows nothing, and starts to count anew. A beat that changes is heard at once.
"""

from __future__ import annotations

from collections.abc import Mapping


class Silence:
    """Remembers beats.

    Args:
        seconds: How long a machine is believed whose beat does not change.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._looked: float | None = None
        self._heard: dict[str, tuple[str, float]] = {}  # the beat and since when, by machine

    def look(self, beats: Mapping[str, str], *, at: float) -> frozenset[str]:
        """The machines that are silent.

        Args:
            beats: What each machine wrote last.
            at: Monotonic time in seconds.
        """
        if self._looked is not None and at - self._looked > self._seconds / 2:
            self._heard.clear()
        self._looked = at
        self._heard = {host: self._since(host, beat, at) for host, beat in beats.items()}
        return frozenset(host for host, (_beat, since) in self._heard.items() if at - since >= self._seconds)

    def _since(self, host: str, beat: str, at: float) -> tuple[str, float]:
        known = self._heard.get(host)
        return known if known is not None and known[0] == beat else (beat, at)
