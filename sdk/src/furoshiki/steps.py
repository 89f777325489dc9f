# SPDX-License-Identifier: Apache-2.0
"""What a call does, said once for sync and async.

A call is a generator of *steps*. It yields a :class:`Request` and is sent its :class:`Reply`, yields a :class:`Pause`
and goes on after it, yields a :class:`Work` and is sent what the blocking function returned. The transports run the
steps; nothing in a resource knows whether it is awaited. :class:`Together` runs several calls at once, in threads or in
tasks. A generator that also yields :class:`Item` describes an
iterator.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Generic, Literal, Protocol, TypeAlias, TypeVar, cast
from urllib.parse import quote

from furoshiki.errors import InvalidRequest

T = TypeVar("T")

QueryValue: TypeAlias = "str | tuple[str, ...]"  # several: the name is there several times

REPLY_LIMIT: Final = 64 * 1024 * 1024  # bytes of a reply held in memory, unless a request says otherwise


class Sink(Protocol):
    """Where the body of a successful reply goes instead of memory."""

    def restart(self) -> None:
        """Forgets what was written: a new attempt begins."""
        ...

    def write(self, chunk: bytes) -> None:
        """Takes the next bytes. What it raises ends the call."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FileBody:
    """A request body read from a file, or from a part of it, while it is sent, anew on every attempt."""

    path: Path
    size: int  # bytes to send
    offset: int = 0  # the first of them
    file_size: int | None = None  # bytes of the file, None: ``size``; a file of another length ends the call
    on_sent: Callable[[int], None] | None = None  # told the bytes handed over so far in this attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request, without any I/O."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str  # quoted, begins with "/"
    base: str = ""  # URL before the path; "" is filled in with the registry's
    query: Mapping[str, QueryValue] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # hold the key
    body: bytes | FileBody = field(default=b"", repr=False)
    sink: Sink | None = None  # None: the reply's body is held in memory, up to ``limit`` bytes
    limit: int = REPLY_LIMIT
    read_timeout: float | None = None  # seconds of silence tolerated; None: the client's timeout
    repeatable: bool = True  # sending it twice does what sending it once does


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One HTTP reply, read to its end."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes  # empty where a sink took it
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait this many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Work(Generic[T]):
    """A blocking function; the async transport runs it in a thread."""

    function: Callable[[], T]


@dataclass(frozen=True, slots=True)
class Together(Generic[T]):
    """Calls that run beside each other. The first failure ends it: what runs is waited for, the rest is not begun."""

    calls: Sequence[Callable[[], Steps[T]]]
    at_once: int


@dataclass(frozen=True, slots=True)
class Item(Generic[T]):
    """The next value of an iterator."""

    value: T


Step: TypeAlias = "Request | Pause | Work[Any] | Together[Any]"
Steps: TypeAlias = Generator[Step, Any, T]
Items: TypeAlias = Generator[Step | Item[T], Any, None]


def exchange(request: Request) -> Steps[Reply]:
    """Sends one request, once."""
    return cast(Reply, (yield request))


def pause(seconds: float) -> Steps[None]:
    """Waits."""
    yield Pause(seconds)


def work(function: Callable[[], T]) -> Steps[T]:
    """Runs a blocking function where it does not block the event loop."""
    return cast(T, (yield Work(function)))


def together(calls: Sequence[Callable[[], Steps[T]]], *, at_once: int) -> Steps[list[T]]:
    """Runs calls beside each other, ``at_once`` at a time; their results in the order of the calls."""
    return cast("list[T]", (yield Together(calls, at_once))) if calls else []


def with_headers(request: Request, headers: Mapping[str, str]) -> Request:
    """The request with more headers; those it has already win."""
    return replace(request, headers={**headers, **request.headers})


def path(*segments: str | int) -> str:
    """Joins and quotes path segments: ``path("models", "a b")`` is ``/models/a%20b``.

    Raises:
        InvalidRequest: ``VALID_002`` on an empty, ``.`` or ``..`` segment, which would name another resource.
    """
    texts = [str(segment) for segment in segments]
    for text in texts:
        if text in ("", ".", ".."):
            raise InvalidRequest("VALID_002", f"{text!r} is not a name; expected a name, id or file path.")
    return "".join("/" + quote(text, safe="") for text in texts)
