# SPDX-License-Identifier: Apache-2.0
"""Whether a client reads what is written to it."""

from __future__ import annotations

import asyncio
from typing import Final

_LEAST_READ: Final = 16 * 2**10  # bytes that a client which reads takes between two looks at it


class Unread:
    """What one connection's client has not read yet, while that is so much that nothing more is done for it."""

    __slots__ = ("_left", "_transport")

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport
        self._left = transport.get_write_buffer_size()

    def shrinks(self) -> bool:
        """Whether the client has read since the last look, however slowly."""
        left = self._transport.get_write_buffer_size()
        read, self._left = self._left - left, left
        return read >= _LEAST_READ
