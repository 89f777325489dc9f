# SPDX-License-Identifier: Apache-2.0
"""Answers of something that may be away: used for a while without asking, and for as long as it stays away.

What was known stays in use whatever the wall clock does; only differences of monotonic time count.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from core.clock import Clock
from core.errors import TransientError

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """A bounded memory of answers. May be used from several threads at once.

    Args:
        clock: For the age of an answer.
        fresh_s: Seconds an answer is used without asking again.
        most: Answers kept; the least recently used are forgotten.
    """

    def __init__(self, clock: Clock, *, fresh_s: float, most: int = 10_000) -> None:
        self._clock = clock
        self._fresh_s = fresh_s
        self._most = most
        self._lock = threading.Lock()
        self._known: OrderedDict[K, tuple[V, float]] = OrderedDict()

    def get(self, key: K, ask: Callable[[], V]) -> V:
        """The answer for ``key``: remembered while it is fresh, else asked for, else remembered all the same.

        Raises:
            TransientError: Of ``ask``, if nothing is remembered.
        """
        with self._lock:
            known = self._known.get(key)
        if known is not None and self._clock.monotonic() < known[1]:
            return known[0]
        try:
            answer = ask()
        except TransientError:
            if known is None:
                raise
            self.put(key, known[0])
            return known[0]
        self.put(key, answer)
        return answer

    def put(self, key: K, answer: V) -> None:
        """Remembers an answer from now on."""
        with self._lock:
            self._known[key] = (answer, self._clock.monotonic() + self._fresh_s)
            self._known.move_to_end(key)
            if len(self._known) > self._most:
                self._known.popitem(last=False)

    def forget(self, key: K) -> None:
        """Forgets the answer for ``key``, so that it is asked for."""
        with self._lock:
            self._known.pop(key, None)
