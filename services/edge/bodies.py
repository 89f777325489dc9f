# SPDX-License-Identifier: Apache-2.0
"""The memory that bodies may hold while they are being received: many slow ones together are bounded, not only each."""

from __future__ import annotations

from typing import TypeAlias

from core.errors import ErrorCode, Overloaded

Body: TypeAlias = bytes | bytearray | memoryview  # as it was received, without a last copy into bytes


class BodyBudget:
    """Bytes received of bodies that are not complete.

    Args:
        capacity: The most bytes at one time.
    """

    __slots__ = ("_capacity", "taken")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self.taken = 0

    def take(self, size: int) -> None:
        """Accounts for ``size`` bytes; each wants one :meth:`give`.

        Raises:
            Overloaded: ``QUEUE_001`` if they do not fit; nothing was taken.
        """
        if self.taken + size > self._capacity:
            raise Overloaded(
                ErrorCode.QUEUE_FULL,
                f"All bodies that are being received would exceed {self._capacity} bytes.",
                retry_after=1.0,
            )
        self.taken += size

    def give(self, size: int) -> None:
        """Gives bytes back."""
        self.taken -= size
