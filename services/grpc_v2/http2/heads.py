# SPDX-License-Identifier: Apache-2.0
"""Header blocks: what a request's says, and the few that answers are made of.

A client says the same with every call. A block that only refers to the tables of HPACK (RFC 7541) and changes neither is
therefore remembered under its bytes until another block changes them. Answers use no dynamic table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import quote

from hpack import Decoder, HPACKError, OversizedHeaderListError
from hpack.table import HeaderTable

from services.grpc_v2.http2.frames import Code, ConnectionFault

LONGEST_BLOCK: Final = 32 * 2**10  # bytes as they travel
LONGEST_LIST: Final = 16 * 2**10  # bytes as RFC 9113, section 6.5.2, counts them; more are refused
_MOST_LIST: Final = 64 * 2**10  # bytes; beyond them decoding ends, and with it the connection
_MOST_FIELDS: Final = 256
_MOST_REMEMBERED: Final = 256
_LONGEST_REMEMBERED: Final = 1024  # bytes

_READ: Final = frozenset({b"x-api-key", b"authorization", b"x-request-id", b"traceparent"})
_OF_REQUESTS: Final = frozenset({b":method", b":scheme", b":authority", b":path"})
_OF_CONNECTIONS: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
_UPPER: Final = re.compile(rb"[A-Z\x00-\x20\x7f-\xff]")
_TIMEOUT: Final = re.compile(rb"(\d{1,8})([HMSmun])")
_UNITS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


class Head(NamedTuple):
    """What is read of a request. ``status`` is that of HTTP; 0: this is no legal request."""

    status: int
    path: str
    headers: dict[bytes, bytes]  # those that edges read; not to be changed
    fields: list[tuple[bytes, bytes]]  # all metadata
    timeout_s: float | None
    encoding: bytes  # of compressed messages
    size: int  # bytes as RFC 9113 counts them


class _Table(HeaderTable):
    """Counts its changes."""

    changes = 0

    def add(self, name: bytes, value: bytes) -> None:
        self.changes += 1
        super().add(name, value)

    @property
    def maxsize(self) -> int:
        return self._maxsize

    @maxsize.setter
    def maxsize(self, newmax: int) -> None:
        self.changes += 1
        HeaderTable.maxsize.fset(self, newmax)  # type: ignore[attr-defined]


class Heads:
    """Reads the header blocks of one connection; every one of them, in their order."""

    __slots__ = ("_decoder", "_known", "_table")

    def __init__(self) -> None:
        self._decoder = Decoder(max_header_list_size=_MOST_LIST)
        self._decoder.header_table = self._table = _Table()
        self._known: dict[bytes, Head] = {}

    def read(self, block: bytes) -> Head:
        """Reads one block.

        Raises:
            ConnectionFault: If it cannot be decoded, or is larger than any legal one.
        """
        known = self._known.get(block)
        if known is not None:
            return known
        changes = self._table.changes
        head = _head(self._decode(block))
        if self._table.changes != changes:
            self._known.clear()
        elif len(block) <= _LONGEST_REMEMBERED:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            self._known[block] = head
        return head

    def _decode(self, block: bytes) -> list[tuple[bytes, bytes]]:
        try:
            return [(bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True)]
        except OversizedHeaderListError:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, f"headers of more than {_MOST_LIST} bytes") from None
        except (HPACKError, IndexError):
            raise ConnectionFault(Code.COMPRESSION_ERROR, "headers that cannot be decoded") from None


def _head(fields: list[tuple[bytes, bytes]]) -> Head:
    size = sum(len(name) + len(value) + 32 for name, value in fields)
    pseudo: dict[bytes, bytes] = {}
    metadata: list[tuple[bytes, bytes]] = []
    legal = len(fields) <= _MOST_FIELDS
    for name, value in fields:
        if name[:1] == b":":
            legal = legal and not metadata and name in _OF_REQUESTS and name not in pseudo
            pseudo[name] = value
        else:
            legal = legal and bool(name) and name not in _OF_CONNECTIONS and not _UPPER.search(name)
            metadata.append((name, value))
    headers = dict(metadata)
    timeout = headers.get(b"grpc-timeout")
    told = None if timeout is None else _TIMEOUT.fullmatch(timeout)
    legal = legal and {b":method", b":scheme", b":path"} <= pseudo.keys() and (timeout is None or told is not None)
    return Head(
        status=_status(pseudo, headers) if legal else 0,
        path=pseudo.get(b":path", b"").decode("ascii", "replace"),
        headers={name: value for name, value in headers.items() if name in _READ},
        fields=metadata,
        timeout_s=None if told is None else int(told[1]) * _UNITS[told[2]],
        encoding=headers.get(b"grpc-encoding", b"identity"),
        size=size,
    )


def _status(pseudo: dict[bytes, bytes], headers: dict[bytes, bytes]) -> int:
    if pseudo[b":method"] != b"POST":
        return 405
    return 200 if headers.get(b"content-type", b"").startswith(b"application/grpc") else 415


def _integer(value: int, bits: int, first: int) -> bytes:
    most = (1 << bits) - 1
    if value < most:
        return bytes((first | value,))
    written = bytearray((first | most,))
    value -= most
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _literal(name: bytes, value: bytes) -> bytes:
    return b"\x00" + _integer(len(name), 7, 0) + name + _integer(len(value), 7, 0) + value


STARTED: Final = (
    b"\x88"  # :status 200, from the static table
    + _literal(b"content-type", b"application/grpc")
    + _literal(b"grpc-accept-encoding", b"identity, deflate, gzip")
)
ENDED: Final = _literal(b"grpc-status", b"0")


def ended(code: int, details: str, trailing: Iterable[tuple[str, str]]) -> bytes:
    """The block that ends a call.

    Args:
        code: The number of its gRPC status.
        details: Its sentence; empty: there is none.
        trailing: Further metadata; text.
    """
    block = _literal(b"grpc-status", str(code).encode())
    if details:
        block += _literal(b"grpc-message", quote(details, safe=_UNQUOTED).encode())
    return block + b"".join(_literal(name.encode(), value.encode()) for name, value in trailing)


_UNQUOTED: Final = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"  # all that is printable but the percent sign


@lru_cache(maxsize=16)
def refused(status: int) -> bytes:
    """The block of an answer that is none of gRPC's."""
    return _literal(b":status", str(status).encode())
