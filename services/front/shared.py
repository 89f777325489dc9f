# SPDX-License-Identifier: Apache-2.0
"""What the connections of one process share."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from services.edge.bodies import BodyBudget
from services.edge.sweeper import Sweeper
from services.front.call import Service
from services.front.heads import Heads

STATE: Final = "furoshiki.front"  # the key of the lifespan state
STATUS_LINES: Final = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode("ascii") for s in HTTPStatus}
HEAD_TOO_LARGE: Final = STATUS_LINES[431] + b"content-length: 0\r\nconnection: close\r\n\r\n"


class Front:
    """Found by each connection in the lifespan state under ``STATE``.

    Args:
        service: What answers inference requests.
    """

    def __init__(self, service: Service) -> None:
        limits = service.limits
        self.service = service
        self.heads = Heads()
        self.bodies = BodyBudget(limits.bodies_bytes)
        self.body_bytes = limits.body_bytes
        self.stalled = Sweeper(limits.body_idle_s)
        self._idle: Sweeper | None = None
        self._fields: list[tuple[bytes, bytes]] | None = None
        self._lines = b""

    def idle(self, keep_alive_s: float) -> Sweeper:
        """Closes connections that are silent between requests.

        Args:
            keep_alive_s: Seconds they may be; the same for all.
        """
        if self._idle is None:
            self._idle = Sweeper(keep_alive_s)
        return self._idle

    def lines(self, fields: list[tuple[bytes, bytes]]) -> bytes:
        """The header lines of fields that change once a second, rendered when they do.

        Args:
            fields: A new list whenever they change.
        """
        if self._fields is not fields:
            self._fields = fields
            self._lines = b"".join(b"%b: %b\r\n" % field for field in fields)
        return self._lines
