# SPDX-License-Identifier: Apache-2.0
"""A real receiver of webhooks on loopback, that answers as it is told to."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import orjson

CUT: Final = b""
"""An answer that is none: the connection is closed."""
OK: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
FAILED: Final = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\n\r\nbusy"
GONE: Final = b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One request that arrived."""

    path: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def id(self) -> str:
        """The message's id."""
        return self.headers["webhook-id"]

    @property
    def subject(self) -> str:
        """What the event is about."""
        return str(orjson.loads(self.body)["data"]["subject"])


@dataclass(kw_only=True)
class Receiver:
    """Answers with ``answers`` in turn, then with ``otherwise``."""

    url: str = ""
    answers: deque[bytes] = field(default_factory=deque)
    otherwise: bytes = OK
    hold: asyncio.Event = field(default_factory=asyncio.Event)  # answers wait for it
    messages: list[Message] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one connection."""
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            self.messages.append(await _read(reader))
            await self.hold.wait()
            writer.write(self.answers.popleft() if self.answers else self.otherwise)
            with suppress(ConnectionError):
                await writer.drain()
        except asyncio.IncompleteReadError:
            return
        finally:
            self.under_way -= 1
            writer.close()


@asynccontextmanager
async def open_receiver(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A receiver on a free port; with ``tls`` it speaks https."""
    receiver = Receiver()
    receiver.hold.set()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    receiver.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/hook"
    try:
        yield receiver
    finally:
        receiver.hold.set()
        server.close()


async def _read(reader: asyncio.StreamReader) -> Message:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Message(path=first.split(" ")[1], headers=headers, body=body)
