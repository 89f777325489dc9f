# SPDX-License-Identifier: Apache-2.0
"""Logs of jobs and deployments: append-only text, read from any byte offset."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from furoshiki.api import Api, get_request
from furoshiki.steps import Item, Items, Steps, pause

_PLAIN: Final[Mapping[str, str]] = MappingProxyType({})
_POLL: Final = 0.5  # seconds between two looks at a growing log


@dataclass(frozen=True, slots=True, kw_only=True)
class LogChunk:
    """A piece of a log."""

    text: str  # bytes that are no UTF-8 are shown as U+FFFD
    offset: int  # byte where it starts; later than asked for where the beginning is no longer kept
    next_offset: int  # byte where the next piece starts


def read_log(api: Api, path: str, offset: int, query: Mapping[str, str] = _PLAIN) -> Steps[LogChunk]:
    """Reads one piece of the log at ``path`` below the API root; ``query`` says which of several."""
    reply = yield from api.send(get_request(path, {**query, "offset": str(offset)}))
    start = int(reply.headers.get("x-log-offset", str(offset)))
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(reply.body)
    unfinished = len(decoder.getstate()[0])  # bytes of a character whose rest is not written yet
    return LogChunk(text=text, offset=start, next_offset=start + len(reply.body) - unfinished)


def read_all(api: Api, path: str, offset: int, query: Mapping[str, str] = _PLAIN) -> Items[LogChunk]:
    """Reads the log to its present end."""
    while (chunk := (yield from read_log(api, path, offset, query))).text:
        offset = chunk.next_offset
        yield Item(chunk)


def follow(
    api: Api, path: str, ended: Callable[[], Steps[bool]], offset: int = 0, query: Mapping[str, str] = _PLAIN
) -> Items[LogChunk]:
    """Reads a log until its writer has ended and everything was read."""
    while True:
        last = yield from ended()
        chunk = yield from read_log(api, path, offset, query)
        offset = chunk.next_offset
        if chunk.text:
            yield Item(chunk)
        elif last:
            return
        else:
            yield from pause(_POLL)
