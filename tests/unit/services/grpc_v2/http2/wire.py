# SPDX-License-Identifier: Apache-2.0
"""A client that writes frames by hand, right or wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import numpy as np
from hpack import Decoder, Encoder

from services.grpc_v2.http2 import frames
from services.grpc_v2.http2.frames import Code
from services.grpc_v2.testing import infer_request
from services.testing import MODEL

INFER = "/inference.GRPCInferenceService/ModelInfer"
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
MESSAGE = infer_request(MODEL, {"x": np.ones((1, 2), dtype=np.float32)}, id="1").SerializeToString()


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes


def prefixed(message: bytes) -> bytes:
    """A message as it travels."""
    return b"\0" + len(message).to_bytes(4, "big") + message


class Wire:
    """One connection to a server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._encoder = Encoder()
        self._decoder = Decoder()

    def raw(self, data: bytes) -> None:
        self._writer.write(data)

    def send(self, kind: int, flags: int, stream: int, payload: bytes = b"") -> None:
        self._writer.write(frames.frame(kind, flags, stream, payload))

    def block(self, path: str = INFER, **more: str) -> bytes:
        """The headers of a call."""
        fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "x"}
        fields |= {"content-type": "application/grpc", "te": "trailers"}
        return self.encoded(fields | {key.replace("_", "-"): value for key, value in more.items()})

    def encoded(self, fields: dict[str, str]) -> bytes:
        """Any headers."""
        return self._encoder.encode(list(fields.items()))

    def open(self, stream: int, path: str = INFER, **more: str) -> None:
        self.send(frames.HEADERS, frames.END_HEADERS, stream, self.block(path, **more))

    def call(self, stream: int, message: bytes = MESSAGE) -> None:
        """A whole inference."""
        self.open(stream)
        self.send(frames.DATA, frames.END_STREAM, stream, prefixed(message))

    async def read(self) -> Frame | None:
        """The next frame; None: the server has closed."""
        async with asyncio.timeout(10):
            try:
                high, low, kind, flags, stream = frames.HEAD.unpack(await self._reader.readexactly(9))
                return Frame(kind, flags, stream, await self._reader.readexactly(high << 16 | low))
            except (asyncio.IncompleteReadError, ConnectionError):
                return None

    async def next(self, *kinds: int) -> Frame:
        """The next frame of these kinds."""
        while (frame := await self.read()) is not None:
            if frame.kind == frames.HEADERS and frame.kind not in kinds:
                self._decoder.decode(frame.payload)
            if frame.kind in kinds:
                return frame
        raise AssertionError("closed")

    async def end(self) -> tuple[Code, str]:
        """Why the server ended the connection."""
        frame = await self.next(frames.GOAWAY)
        assert await self.read() is None
        return Code(int.from_bytes(frame.payload[4:8], "big")), frame.payload[8:].decode()

    async def status(self, stream: int) -> int:
        """The gRPC status a call ends with."""
        while True:
            frame = await self.next(frames.HEADERS)
            fields = self.fields(frame)
            if frame.stream == stream and frame.flags & frames.END_STREAM:
                return int(fields["grpc-status"])

    def fields(self, frame: Frame) -> dict[str, str]:
        """What a HEADERS frame says."""
        return {str(name): str(value) for name, value in self._decoder.decode(frame.payload)}

    async def reset(self) -> tuple[int, Code]:
        """The next stream that is reset, and why."""
        frame = await self.next(frames.RST_STREAM)
        return frame.stream, Code(int.from_bytes(frame.payload, "big"))


@asynccontextmanager
async def wired(port: int, *, greet: bool = True) -> AsyncIterator[Wire]:
    """Connects."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    wire = Wire(reader, writer)
    if greet:
        wire.raw(frames.PREFACE + frames.settings({}))
    try:
        yield wire
    finally:
        writer.close()
