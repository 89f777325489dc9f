# SPDX-License-Identifier: Apache-2.0
"""What can go wrong with a registry in memory, and answers as they come from a network: still to be read, perhaps cut."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

import httpx


@dataclass(kw_only=True)
class Faults:
    """What goes wrong, and what the registry cannot do. Lists are used up from the front; then all is well."""

    statuses: list[tuple[int, dict[str, str]]] = field(default_factory=list)  # answered instead of the next requests
    cut_sent: list[int] = field(default_factory=list)  # the next bodies sent are cut after so many bytes
    cut_received: list[int] = field(default_factory=list)  # the next blobs received are cut after so many bytes
    lose_answers: list[str] = field(default_factory=list)  # of the next requests with these methods: done, but unheard
    forget_uploads: bool = False  # whenever one is cut
    damage: bool = False  # a bit of every blob and manifest that is read
    ranges: bool = True
    chunks: bool = True
    referrers: bool = True
    pages: int = 1000  # tags on one page
    blobs_at: str = ""  # "https://cdn.test": reading a blob is redirected there
    before_tag: list[Callable[[], None]] = field(default_factory=list)  # run before the next tags are written
    after_tag: list[Callable[[], None]] = field(default_factory=list)  # run after the next tags are written


class Body(httpx.AsyncByteStream):
    """A body that may end too early."""

    def __init__(self, data: bytes, limit: int | None) -> None:
        self._data = data
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        end = len(self._data) if self._limit is None else min(self._limit, len(self._data))
        for at in range(0, end, 65536):
            yield self._data[at : min(at + 65536, end)]
        if self._limit is not None:
            raise httpx.ReadError("cut off")


def answered(status: int, content: bytes = b"", headers: Mapping[str, str] | None = None) -> httpx.Response:
    """A whole answer that is still to be read, as one from the network is."""
    return httpx.Response(
        status, headers={"content-length": str(len(content)), **(headers or {})}, stream=Body(content, None)
    )


def failed(status: int, code: str) -> httpx.Response:
    """An error of the distribution specification."""
    body = json.dumps({"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}).encode()
    return answered(status, body, {"content-type": "application/json"})
