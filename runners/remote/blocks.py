# SPDX-License-Identifier: Apache-2.0
"""Shared memory of one direction of a connection.

The sender owns an anonymous file (``memfd``) sealed against any change of size and hands its descriptor over once, so the
kernel frees it with the last of the two processes, however they end. Tensors are copied into a block of it and used from
there by the receiver, without another copy. A block is the receiver's until nothing there refers to it any more: not the
request, not the batch, not an execution that outlived both. Then the receiver reports it, and the sender may use it again.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import weakref
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from runners.remote.framing import Buffer, ProtocolError

_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
_ALIGNED: Final = 64  # bytes; a block begins at a multiple


class BlockWriter:
    """The sender's side.

    Args:
        size: Bytes.
    """

    def __init__(self, size: int) -> None:
        self.fd = os.memfd_create("furoshiki-tensors", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self.fd, size)
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, _SEALS)
            self._mapping = mmap.mmap(self.fd, size)
        except BaseException:
            os.close(self.fd)
            raise
        self._memory = memoryview(self._mapping)
        self._blocks: dict[int, int] = {}  # end of each block in use, by its start
        self._gaps: list[tuple[int, int]] = [(0, size)]  # start and end of what is free, in order, never adjacent

    def place(self, parts: Sequence[Buffer], size: int) -> int | None:
        """Copies ``parts``, ``size`` bytes in all, into one block; its offset, or None if there is no room now."""
        offset = self._allocate(size + -size % _ALIGNED)
        if offset is None:
            return None
        position = offset
        for part in parts:
            end = position + len(part)
            self._memory[position:end] = part
            position = end
        return offset

    def freed(self, offset: int) -> None:
        """Takes back the block at ``offset``.

        Raises:
            ProtocolError: There is none.
        """
        end = self._blocks.pop(offset, None)
        if end is None:
            raise ProtocolError(f"there is no block at {offset}")
        index = bisect_left(self._gaps, (offset, end))
        start = offset
        if index < len(self._gaps) and self._gaps[index][0] == end:
            end = self._gaps.pop(index)[1]
        if index and self._gaps[index - 1][1] == start:
            index -= 1
            start = self._gaps.pop(index)[0]
        self._gaps.insert(index, (start, end))

    def close(self) -> None:
        """Frees this end of the memory. May be called twice."""
        if self.fd >= 0:
            self._memory.release()
            self._mapping.close()
            os.close(self.fd)
            self.fd = -1

    def _allocate(self, size: int) -> int | None:
        for index, (start, end) in enumerate(self._gaps):  # from the beginning: those pages are warm
            if end - start >= size:
                rest = (start + size, end)
                self._gaps[index : index + 1] = [rest] if rest[0] < end else []
                self._blocks[start] = start + size
                return start
        return None


class BlockReader:
    """The receiver's side.

    Args:
        fd: The descriptor that was received; it belongs to the caller.

    Raises:
        ProtocolError: It is not memory of a fixed size.
    """

    def __init__(self, fd: int) -> None:
        try:
            if fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _SEALS != _SEALS:
                raise ProtocolError("shared memory that could shrink")
            self._mapping = mmap.mmap(fd, 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise ProtocolError(f"no shared memory: {error}") from None
        self._memory = memoryview(self._mapping)
        self._held: dict[int, weakref.ref[Any]] = {}
        self._dropped: deque[int] = deque()  # by any thread

    def take(self, offset: int, size: int) -> memoryview:
        """One block, for as long as anything refers to it.

        Raises:
            ProtocolError: It is not inside the memory, or in use here.
        """
        if offset < 0 or size <= 0 or offset + size > len(self._memory) or offset in self._held:
            raise ProtocolError(f"a block of {size} bytes at {offset}; the memory has {len(self._memory)}")
        owner = np.frombuffer(self._memory[offset : offset + size], np.uint8)
        self._held[offset] = weakref.ref(owner, partial(self._drop, offset))
        return owner.data

    def dropped(self) -> list[int]:
        """The blocks nothing refers to any more, each once."""
        offsets = []
        while self._dropped:
            offset = self._dropped.popleft()
            del self._held[offset]
            offsets.append(offset)
        return offsets

    def close(self) -> None:
        """Frees this end of the memory, with the last that refers to it. May be called twice."""
        with contextlib.suppress(BufferError):
            self._memory.release()
            self._mapping.close()

    def _drop(self, offset: int, _owner: object) -> None:
        self._dropped.append(offset)
