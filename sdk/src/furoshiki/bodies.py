# SPDX-License-Identifier: Apache-2.0
"""What goes into and comes out of an HTTP exchange, for both transports: arguments, bodies, failures.

A file is read while it is sent and must keep the length that was announced. A reply held in memory has a limit. Every
failure of the HTTP library becomes an error of this package.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import httpx

from furoshiki.errors import (
    CONFIG_INVALID,
    LOCAL_FILE,
    REPLY_UNREADABLE,
    ConfigError,
    ConnectionFailed,
    InvalidRequest,
    ServerFault,
)
from furoshiki.steps import FileBody, Reply, Request

CHUNK: Final = 1024 * 1024  # bytes read from a file at a time
REQUEST_ID_HEADER: Final = "x-request-id"
_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def arguments(
    request: Request, content: bytes | Iterator[bytes] | AsyncIterator[bytes], timeout: httpx.Timeout
) -> dict[str, Any]:
    """The arguments of ``httpx.Client.stream`` or ``httpx.AsyncClient.stream`` for ``request``."""
    headers = dict(request.headers)
    if isinstance(request.body, FileBody):
        headers["Content-Length"] = str(request.body.size)
    read = timeout.read if request.read_timeout is None else request.read_timeout
    return {
        "method": request.method,
        "url": request.base + request.path,
        "params": dict(request.query) or None,
        "headers": headers,
        "content": content or None,
        "timeout": httpx.Timeout(connect=timeout.connect, read=read, write=timeout.write, pool=timeout.pool),
    }


def file_chunks(body: FileBody) -> Iterator[bytes]:
    """Reads the file of ``body``, reporting what was handed over.

    Raises:
        InvalidRequest: ``CLIENT_004`` if the file cannot be read or no longer has the announced length.
    """
    sent = 0
    try:
        with body.path.open("rb") as file:
            file.seek(body.offset)
            while sent < body.size and (chunk := file.read(min(CHUNK, body.size - sent))):
                yield chunk
                sent += len(chunk)
                if body.on_sent is not None:
                    body.on_sent(sent)
            length = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise InvalidRequest(LOCAL_FILE, f"Cannot read {str(body.path)!r}: {error.strerror}.") from None
    expected = body.size if body.file_size is None else body.file_size
    if sent != body.size or length != expected:
        raise InvalidRequest(
            LOCAL_FILE, f"{str(body.path)!r} changed while it was sent; expected {expected} bytes. Push it again."
        )


class Receiver:
    """Takes the body of one reply: into the request's sink if the request succeeded, else into bounded memory."""

    def __init__(self, request: Request, response: httpx.Response) -> None:
        self._response = response
        self._request = request
        self._sink = request.sink if response.is_success else None
        self._chunks: list[bytes] = []
        self._size = 0
        if self._sink is not None:
            self._sink.restart()

    def write(self, chunk: bytes) -> None:
        """Takes the next bytes.

        Raises:
            ServerFault: ``CLIENT_003`` above the request's limit.
        """
        if self._sink is not None:
            self._sink.write(chunk)
            return
        self._size += len(chunk)
        if self._size > self._request.limit:
            raise ServerFault(
                REPLY_UNREADABLE,
                f"The server's reply is longer than {self._request.limit} bytes.",
                request_id=_request_id(self._request, self._response.headers),
                status=self._response.status_code,
            )
        self._chunks.append(chunk)

    def reply(self) -> Reply:
        """The reply, after its last byte."""
        headers = {name.lower(): value for name, value in self._response.headers.items()}
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        return Reply(
            status=self._response.status_code,
            headers=headers,
            body=body,
            request_id=_request_id(self._request, headers),
        )


@contextmanager
def failures(request: Request) -> Iterator[None]:
    """Turns the HTTP library's exceptions into this package's.

    Raises:
        ConnectionFailed: ``CLIENT_002``; ``sent`` tells whether the server may have seen the request.
        ConfigError: ``CLIENT_001`` if the URL is none.
    """
    request_id = _request_id(request, {})
    try:
        yield
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise ConfigError(
            CONFIG_INVALID, f"{request.base!r} is not a service URL; expected http://host:port or https://host."
        ) from None
    except (httpx.RemoteProtocolError, httpx.DecodingError) as error:
        # a server that goes away between two bytes looks like a protocol error too
        raise ConnectionFailed(
            f"{request.base} broke off its reply: {error}.", request_id=request_id, sent=True
        ) from None
    except httpx.TransportError as error:
        reason = str(error) or type(error).__name__
        sent = not isinstance(error, _NOT_SENT)
        told = (
            f"did not answer: {reason}."
            if sent
            else f"cannot be reached: {reason}. Is that the address, and does it run?"
        )
        raise ConnectionFailed(f"{request.base} {told}", request_id=request_id, sent=sent) from None


def _request_id(request: Request, headers: Mapping[str, str]) -> str | None:
    return headers.get(REQUEST_ID_HEADER) or request.headers.get("X-Request-ID")
