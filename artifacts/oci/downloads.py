# SPDX-License-Identifier: Apache-2.0
"""Brings one blob from a registry: straight into a layout, in constant memory, going on where a cut left it.

Follows the distribution specification v1.1, "Pulling blobs", and RFC 9110 section 14 for ranges. A blob becomes visible in
the layout only when all its bytes are there and hash to its digest; nothing else that a registry sends is believed. One that
answers a range with the whole blob makes it begin anew.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Final

import httpx

from artifacts.digest import digest_bytes
from artifacts.oci.arrivals import Arrival, arriving
from artifacts.oci.blobs import PIECE_BYTES
from artifacts.oci.connection import Ask, Connection
from artifacts.oci.descriptor import Descriptor
from artifacts.oci.layout import Layout
from artifacts.oci.patience import Tries
from artifacts.oci.refusals import too_large, wrong_digest, wrong_size
from artifacts.oci.sending import Watch, blob_path
from core.clock import Clock
from core.errors import ErrorCode, NotFound, SignatureError, Unavailable

_PROGRESS_BYTES: Final = 1024 * 1024  # from which patience starts anew
_PIECE_S: Final = 120.0  # for a piece; a registry that drips is one that cuts off
_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,16})-(\d{1,16})/(\d{1,16}|\*)")
_MOST_ERROR_BYTES: Final = 64 * 1024


def pulling(repository: str) -> str:
    """The scope of reading."""
    return f"repository:{repository}:pull"


async def read_blob(connection: Connection, repository: str, descriptor: Descriptor, *, limit: int) -> bytes:
    """The whole of a small blob, checked.

    Raises:
        InvalidRequest: ``VALID_003`` if it has more than ``limit`` bytes.
        SignatureError: ``SIGN_004`` if the registry sends other bytes.
        NotFound: ``OCI_003`` if it is not there.
        Unavailable: ``OCI_001`` if patience ended.
        ImageRegistryError: ``OCI_002`` or ``OCI_004``.
    """
    if descriptor.size > limit:
        raise too_large(f"Blob {descriptor.digest}", descriptor.size, limit)
    answer = await connection.ask(_asked(repository, descriptor, start=0), 200, limit=limit)
    if len(answer.body) != descriptor.size:
        raise wrong_size(descriptor.digest, descriptor.size, len(answer.body), where="the registry")
    if digest_bytes(answer.body) != descriptor.digest:
        raise wrong_digest(descriptor.digest, digest_bytes(answer.body), where="the registry")
    return answer.body


async def download(
    connection: Connection, repository: str, descriptor: Descriptor, layout: Layout, *, watch: Watch = lambda _: None
) -> int:
    """Brings a blob into a layout, unless it holds it already, undamaged.

    Args:
        connection: To the registry.
        repository: Of the registry.
        descriptor: Of the blob.
        layout: Where it goes.
        watch: Is told how many bytes of it are there.

    Returns:
        Bytes that travelled.

    Raises:
        NotFound: ``OCI_003`` if it is not there.
        SignatureError: ``SIGN_004`` if the registry sends other bytes; nothing of them is kept.
        Unavailable: ``OCI_001`` if patience ended, ``STORE_004`` if the disk is full; what arrived is kept for the next call.
        ImageRegistryError: ``OCI_002`` or ``OCI_004``.
    """
    if await asyncio.to_thread(_holds, layout, descriptor):
        watch(descriptor.size)
        return 0
    async with _in_thread(arriving(layout.root, descriptor)) as arrival:
        receiving = _Receiving(connection, _asked(repository, descriptor, start=0), descriptor, arrival, watch)
        await receiving.run()
        return receiving.received


class _Receiving:
    """One blob being received."""

    def __init__(
        self, connection: Connection, ask: Ask, descriptor: Descriptor, arrival: Arrival, watch: Watch
    ) -> None:
        self.received = 0
        self._connection = connection
        self._ask = ask
        self._descriptor = descriptor
        self._arrival = arrival
        self._watch = watch
        self._tries = Tries(connection.patience)
        self._most = arrival.size  # bytes that were ever there
        self._recovered = arrival.size > 0  # then other bytes may be ours, and are tried once more

    async def run(self) -> None:
        """Receives until the blob is visible. Raises as :func:`download`."""
        while True:
            try:
                while self._arrival.size < self._descriptor.size:
                    await self._receive()
                await asyncio.to_thread(self._arrival.finish)
                break
            except SignatureError:
                if not self._recovered:
                    raise
                self._recovered = False
            except Unavailable as error:
                await self._tries.after(error)

    async def _receive(self) -> None:
        before = self._arrival.size
        headers = {"range": f"bytes={before}-"} if before else {}
        ask = Ask(method="GET", url=self._ask.url, what=self._ask.what, scope=self._ask.scope, headers=headers)
        try:
            async with self._connection.open(ask) as response:
                if response.status_code not in {200, 206, 416}:
                    await self._connection.whole(ask, response, limit=_MOST_ERROR_BYTES)
                if before and not _goes_on(response, before):
                    await asyncio.to_thread(self._arrival.restart)
                if response.status_code != 416:
                    await self._write(response)
        finally:
            if self._arrival.size - self._most >= _PROGRESS_BYTES:
                self._most = self._arrival.size
                self._tries.progress()
        if self._arrival.size < self._descriptor.size:
            raise self._cut()

    async def _write(self, response: httpx.Response) -> None:
        async for piece in _in_pieces(response, self._connection.clock):
            await asyncio.to_thread(self._arrival.write, piece)
            self.received += len(piece)
            self._watch(self._arrival.size)

    def _cut(self) -> Unavailable:
        host = self._connection.host
        return Unavailable(
            ErrorCode.OCI_UNREACHABLE,
            f"Image registry {host} ends early: {self._ask.what}. Try again later.",
            details={"registry": host},
        )


def _holds(layout: Layout, descriptor: Descriptor) -> bool:
    try:
        layout.open_blob(descriptor).close()
    except NotFound:
        return False
    except SignatureError as error:
        if error.code is not ErrorCode.DIGEST_MISMATCH:
            raise
        return False  # damaged: what arrives takes its place
    return True


def _asked(repository: str, descriptor: Descriptor, *, start: int) -> Ask:
    headers = {"range": f"bytes={start}-"} if start else {}
    url, what = blob_path(repository, descriptor.digest), f"pull blob {descriptor.digest}"
    return Ask(method="GET", url=url, what=what, scope=pulling(repository), headers=headers)


def _goes_on(response: httpx.Response, start: int) -> bool:
    """Whether the answer begins at byte ``start``."""
    found = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
    return response.status_code == 206 and found is not None and int(found[1]) == start


async def _in_pieces(response: httpx.Response, clock: Clock) -> AsyncIterator[bytes]:
    """The body in pieces large enough to be worth a thread; what came before a cut is not lost."""
    pending, began = bytearray(), clock.monotonic()
    try:
        async for part in response.aiter_raw():
            pending += part
            if len(pending) >= PIECE_BYTES:
                yield bytes(pending)
                pending.clear()
                began = clock.monotonic()
            elif clock.monotonic() - began > _PIECE_S:
                break
    except httpx.TransportError:
        if pending:
            yield bytes(pending)
        raise
    if pending:
        yield bytes(pending)


@asynccontextmanager
async def _in_thread(blocking: AbstractContextManager[Arrival]) -> AsyncIterator[Arrival]:
    arrival = await asyncio.to_thread(blocking.__enter__)
    try:
        yield arrival
    finally:
        await asyncio.to_thread(blocking.__exit__, None, None, None)
