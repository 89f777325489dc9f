# SPDX-License-Identifier: Apache-2.0
"""One log line per request, written in batches so that a request does not pay for the write.

Lines are JSON on stderr with the event name ``request``, rendered by hand: every value but the path is of a charset
that needs no escaping (ids and names were checked; methods come from the HTTP parser or are ``GRPC``). At most
``_MOST_LINES`` wait; beyond that lines are counted and the count is written instead, so a blocked log never blocks inference.
"""

from __future__ import annotations

import asyncio
import sys
import time
from functools import lru_cache
from typing import BinaryIO, Final, Protocol

import orjson

from core.clock import Clock

_FLUSH_S: Final = 0.2
_MOST_LINES: Final = 50_000
_LONGEST_PATH: Final = 512


class Answered(Protocol):
    """A request that was answered, over whichever protocol. ``status`` is the protocol's own number."""

    @property
    def request_id(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def status(self) -> int: ...
    @property
    def received_bytes(self) -> int: ...
    @property
    def sent_bytes(self) -> int: ...


class AccessLog:
    """Collects and writes request lines.

    Args:
        clock: Stamps the lines.
        enabled: False writes nothing.
        stream: Where lines go.
    """

    def __init__(self, *, clock: Clock, enabled: bool = True, stream: BinaryIO | None = None) -> None:
        self._clock = clock
        self._enabled = enabled
        self._stream = stream if stream is not None else sys.stderr.buffer
        self._lines: list[bytes] = []
        self._dropped = 0
        self._timer: asyncio.TimerHandle | None = None

    def record(self, request: Answered, *, seconds: float, tenant: str, code: str) -> None:
        """Notes one answered request."""
        if not self._enabled:
            return
        if len(self._lines) >= _MOST_LINES:
            self._dropped += 1
            return
        moment = self._clock.now().timestamp()
        self._lines.append(
            b'{"timestamp":"%b.%03dZ","level":"info","event":"request","request_id":"%b","tenant":"%b","method":"%b",'
            b'"path":%b,"status":%d,"code":"%b","latency_ms":%.3f,"received_bytes":%d,"sent_bytes":%d}\n'
            % (
                _second(int(moment)),
                int(moment * 1000) % 1000,
                request.request_id.encode("ascii"),
                tenant.encode("ascii"),
                request.method.encode("ascii"),
                _quoted(request.path[:_LONGEST_PATH]),
                request.status,
                code.encode("ascii"),
                seconds * 1000,
                request.received_bytes,
                request.sent_bytes,
            )
        )
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_S, self.flush)

    def flush(self) -> None:
        """Writes what was collected."""
        self._timer = None
        lines, self._lines = self._lines, []
        dropped, self._dropped = self._dropped, 0
        if dropped:
            lines.append(b'{"level":"warning","event":"request_lines_dropped","count":%d}\n' % dropped)
        if lines:
            self._stream.write(b"".join(lines))
            self._stream.flush()


def _quoted(path: str) -> bytes:
    try:
        return orjson.dumps(path)
    except TypeError:  # lone surrogates
        return orjson.dumps(path.encode(errors="replace").decode())


@lru_cache(maxsize=2)
def _second(moment: int) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)).encode("ascii")
