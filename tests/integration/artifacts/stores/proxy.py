# SPDX-License-Identifier: Apache-2.0
"""A real TCP proxy in front of a service that speaks HTTP, and fails as networks and services do: errors, cuts, delays."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
REQUEST = re.compile(rb"^(GET|HEAD|PUT|POST|PATCH|DELETE) (\S+) HTTP/1\.1\r\n", re.MULTILINE)


@dataclass(kw_only=True)
class Faults:
    """What goes wrong. Counts go down to 0, then all is well."""

    errors: int = 0  # connections answered by 500
    cuts: int = 0  # connections ended after ``cut_after`` bytes of the request
    cut_after: int = 100_000
    answer_cuts: int = 0  # connections ended after ``cut_after`` bytes of answers longer than that
    silent: bool = False  # takes everything and answers nothing
    only: bytes = b""  # requests whose first line holds this; others pass
    seen: list[bytes] = field(default_factory=list)  # first lines of connections


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """A running proxy."""

    endpoint: str
    faults: Faults


@asynccontextmanager
async def proxied(endpoint: str) -> AsyncIterator[Proxy]:
    """A proxy on a free loopback port; each connection carries what the client sends to ``endpoint``."""
    faults, target = Faults(), urlsplit(endpoint)
    assert target.hostname is not None
    assert target.port is not None
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await _carry(reader, writer, (target.hostname or "", target.port or 0), faults)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield Proxy(endpoint=f"http://127.0.0.1:{port}", faults=faults)
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: tuple[str, int], faults: Faults
) -> None:
    """Requests one after the other, so that each may fail on its own."""
    up_reader, up_writer = await asyncio.open_connection(*target)
    back = asyncio.create_task(_copy(up_reader, writer, faults))
    try:
        while chunk := await reader.read(65536):
            line = REQUEST.search(chunk)
            if line is not None:
                faults.seen.append(line[0])
                if faults.only in line[0] and await _fails(reader, writer, len(chunk), faults):
                    return
            up_writer.write(chunk)
            await up_writer.drain()
    finally:
        back.cancel()
        with suppress(asyncio.CancelledError, ConnectionError):
            await back
        up_writer.close()


async def _fails(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, read: int, faults: Faults) -> bool:
    if faults.silent:
        while await reader.read(65536):
            pass
        return True
    if faults.errors > 0:
        faults.errors -= 1
        writer.write(ERROR)
        await writer.drain()
        return True
    if faults.cuts > 0:
        faults.cuts -= 1
        while read < faults.cut_after and (more := await reader.read(65536)):
            read += len(more)
        writer.transport.abort()
        return True
    return False


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, faults: Faults) -> None:
    copied = 0
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
        copied += len(data)
        if faults.answer_cuts > 0 and copied > faults.cut_after:
            faults.answer_cuts -= 1
            writer.transport.abort()
            return
