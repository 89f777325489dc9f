# SPDX-License-Identifier: Apache-2.0
"""Heads and ciphers of objects: makes new ones, opens stored ones, wraps their data keys anew.

Unwrapped data keys are remembered for the last few hundred objects, so that what is in use is served while the keys of keys
are out of reach, and reading one object often asks for its key once.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final

from artifacts.encryption.cipher import CHUNK_BYTES, ObjectCipher, new_data_key, new_object_id
from artifacts.encryption.head import Head, parse_head
from artifacts.encryption.keys import KeyWrapper

REMEMBERED: Final = 512  # data keys, 32 bytes each


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An object that can be read or written."""

    head: Head
    cipher: ObjectCipher
    data_key: bytes

    @property
    def encoded(self) -> bytes:
        """The head as it is stored."""
        covered = self.head.encode()
        return covered + self.cipher.code(covered)


class Sealing:
    """Makes and opens heads.

    Args:
        wrapper: Wraps data keys.
        chunk_bytes: Plaintext of one chunk of a new object.
    """

    def __init__(self, wrapper: KeyWrapper, *, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._wrapper = wrapper
        self._chunk_bytes = chunk_bytes
        self._known: OrderedDict[tuple[str, str, bytes], bytes] = OrderedDict()

    async def begin(self, tenant: str, subject: str, size: int) -> Opened:
        """The head and cipher of a new object of ``size`` bytes."""
        data_key = new_data_key()
        key_id, wrapped = await self._wrapped(tenant, data_key)
        head = Head(chunk_bytes=self._chunk_bytes, size=size, object_id=new_object_id(), key_id=key_id, wrapped=wrapped)
        cipher = ObjectCipher(data_key, head, tenant=tenant, subject=subject)
        return Opened(head=head, cipher=cipher, data_key=data_key)

    async def open(self, tenant: str, subject: str, stored: bytes) -> Opened:
        """Opens a stored head.

        Raises:
            StoreError: ``STORE_003`` if it is not the head of that object of that tenant.
        """
        head, covered, code = parse_head(stored)
        place = (tenant, head.key_id, head.wrapped)
        data_key = self._known.get(place)
        if data_key is None:
            data_key = await self._wrapper.unwrap(tenant, head.key_id, head.wrapped)
        cipher = ObjectCipher(data_key, head, tenant=tenant, subject=subject)
        cipher.check(covered, code)
        self._remember(place, data_key)
        return Opened(head=head, cipher=cipher, data_key=data_key)

    async def rewrap(self, tenant: str, subject: str, stored: bytes) -> Opened | None:
        """The same object with its data key wrapped by the present key; None if it is already."""
        opened = await self.open(tenant, subject, stored)
        if opened.head.key_id == await self._wrapper.key_id(tenant):
            return None
        key_id, wrapped = await self._wrapped(tenant, opened.data_key)
        return replace(opened, head=replace(opened.head, key_id=key_id, wrapped=wrapped))

    async def _wrapped(self, tenant: str, data_key: bytes) -> tuple[str, bytes]:
        while True:
            before = await self._wrapper.key_id(tenant)
            wrapped = await self._wrapper.wrap(tenant, data_key)
            if await self._wrapper.key_id(tenant) == before:  # not rotated in between
                return before, wrapped

    def _remember(self, place: tuple[str, str, bytes], data_key: bytes) -> None:
        self._known[place] = data_key
        self._known.move_to_end(place)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
