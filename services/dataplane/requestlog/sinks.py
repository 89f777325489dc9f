# SPDX-License-Identifier: Apache-2.0
"""The registry, or a file of JSON lines."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from pathlib import Path
from typing import Final

import httpx

from core.errors import ErrorCode, Unavailable
from services.dataplane.requestlog.batches import Batch, as_json, as_lines
from services.dataplane.requestlog.interface import NotTaken

_ROUTE: Final = "/api/v1/requests"
_LOOPBACK: Final = ("all://127.0.0.1", "all://localhost", "all://[::1]")  # never through a proxy of the environment
_LATER: Final = frozenset({408, 429})


class RegistrySink:
    """Delivers to the registry with this service's own key, whose role is ``service``.

    Args:
        url: The registry's root.
        api_key: The key.
        timeout_s: Seconds within which it must answer.
        transport: Replaces the network.
    """

    def __init__(
        self, url: str, *, api_key: str, timeout_s: float, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._url = url.rstrip("/") + _ROUTE
        self._client = httpx.AsyncClient(
            headers={"x-api-key": api_key, "content-type": "application/json"},
            timeout=timeout_s,
            transport=transport,
            mounts=dict.fromkeys(_LOOPBACK),
        )

    async def put(self, batch: Batch) -> None:
        """See :class:`services.dataplane.requestlog.interface.Sink`."""
        answer = await self._client.post(self._url, content=as_json(batch))
        if answer.is_success:
            return
        if answer.is_server_error or answer.status_code in _LATER:
            raise Unavailable(ErrorCode.STORE_UNAVAILABLE, f"The registry answered {answer.status_code}.")
        raise NotTaken(f"the registry answered {answer.status_code}: {answer.text[:200]}")

    async def close(self) -> None:
        """See :class:`services.dataplane.requestlog.interface.Sink`."""
        await self._client.aclose()


class FileSink:
    """Appends to a file, a batch with one write, so that processes may share it. What a full disk cuts off is taken back.

    Args:
        path: The file; made if it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def put(self, batch: Batch) -> None:
        """See :class:`services.dataplane.requestlog.interface.Sink`."""
        await asyncio.to_thread(self._append, as_lines(batch))

    def _append(self, lines: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            end = os.fstat(descriptor).st_size
            if os.write(descriptor, lines) < len(lines):  # half a batch would be there twice, after half a line
                os.ftruncate(descriptor, end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        finally:
            os.close(descriptor)

    async def close(self) -> None:
        """See :class:`services.dataplane.requestlog.interface.Sink`."""
