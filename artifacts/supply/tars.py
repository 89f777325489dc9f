# SPDX-License-Identifier: Apache-2.0
"""Reads the tar of an image layer, and refuses every tar that two readers could read in two ways.

What is verified here is unpacked by somebody else: podman, containerd and their Go libraries. Where tar readers differ
(paths said twice, global headers, sparse files, numbers in odd notations, what comes after a broken header or after the end),
a layer could show us one content and a container another. Nobody writes such layers by accident, so they are not understood
but refused. Formats: POSIX.1-2001 ``ustar`` and ``pax``, and GNU's long names; compared with Go's ``archive/tar``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from artifacts.oci.refusals import invalid_document
from core.errors import SignatureError

MAX_EXTENSION_BYTES: Final = 1 << 20  # of one header that says more about the next entry
MAX_PATH_BYTES: Final = 4096
MAX_PATH_DEPTH: Final = 128
_BLOCK: Final = 512
_PIECE: Final = 1 << 20
_LARGE: Final = 8 << 30  # sizes from here on do not fit into a header
_OCTAL: Final = re.compile(rb" *([0-7]{0,12})[ \0]*")
_RECORD: Final = re.compile(rb"([1-9][0-9]{0,6}) ([^=\0]+)=")
_SIZE: Final = re.compile(rb"0|[1-9][0-9]{0,18}")
_USTAR: Final = b"ustar\0"
_GNU: Final = b"ustar  \0"
_STAR: Final = b"tar\0"
_EXTENSIONS: Final = {b"x": "pax", b"L": "path", b"K": "linkpath"}

Kind = Literal["file", "folder", "link", "other"]
_KINDS: Final[dict[bytes, Kind]] = {
    b"0": "file",
    b"\0": "file",
    b"1": "other",  # a hard link
    b"2": "link",
    b"3": "other",
    b"4": "other",
    b"5": "folder",
    b"6": "other",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One entry of a layer."""

    path: str  # below /, without "./" and a slash at the end; "": / itself
    kind: Kind
    size: int  # bytes of a file; otherwise 0


class Readable(Protocol):
    """Gives fewer bytes than asked for at its end only."""

    def read(self, size: int, /) -> bytes:
        """The next bytes."""
        ...


class TarReader:
    """Iterates over the members of an uncompressed tar, to the last byte of it, in constant memory.

    Args:
        stream: The tar.

    Raises:
        SignatureError: ``SIGN_010``, while iterating, if it is no tar or an ambiguous one.
    """

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._left = 0  # bytes of the present member's content that were not read

    def __iter__(self) -> Iterator[Member]:
        said: dict[str, bytes] = {}  # by the extensions before a member
        while (block := self._stream.read(_BLOCK)) and block.strip(b"\0"):
            header = _parsed(block)
            if header.type in _EXTENSIONS:
                self._extend(said, header)
                continue
            member = _member(header, said)
            said = {}
            self._left = member.size
            yield member
            while self.read(_PIECE):
                pass
            self._exactly(-member.size % _BLOCK)
        if said:
            raise _ambiguous("an extension of nothing")
        self._check_end()

    def read(self, size: int) -> bytes:
        """The next bytes of the present member; none at its end."""
        data = self._exactly(min(size, self._left))
        self._left -= len(data)
        return data

    def _extend(self, said: dict[str, bytes], header: _Header) -> None:
        if header.size > MAX_EXTENSION_BYTES:
            raise _ambiguous(f"an extension of {header.size} bytes")
        data = self._exactly(header.size)
        self._exactly(-header.size % _BLOCK)
        name = _EXTENSIONS[header.type]
        found = _records(data) if name == "pax" else {name: _text(data)}
        if not said.keys().isdisjoint({*found, name}):
            raise _ambiguous("one thing said twice by extensions")
        said.update({**found, name: found.get(name, b"")})

    def _exactly(self, size: int) -> bytes:
        data = self._stream.read(size) if size else b""
        if len(data) != size:
            raise _ambiguous("a tar that ends early")
        return data

    def _check_end(self) -> None:
        while data := self._stream.read(_PIECE):
            if data.strip(b"\0"):
                raise _ambiguous("something behind its end")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    path: bytes
    type: bytes
    size: int


def _parsed(block: bytes) -> _Header:
    if len(block) != _BLOCK or _number(block[148:156]) != sum(block) - sum(block[148:156]) + 8 * ord(" "):
        raise _ambiguous("a header with a wrong checksum")
    path, kind, size = _text(block[:100]), block[156:157], _number(block[124:136])
    posix, gnu = block[257:263] == _USTAR and block[508:512] != _STAR, block[257:265] == _GNU
    if not posix and block[(345 if gnu else 257) : 512].strip(b"\0"):
        raise _ambiguous("a header of an unknown format")
    if posix and (prefix := _text(block[345:500])):
        path = prefix + b"/" + path
    if kind not in _KINDS and kind not in _EXTENSIONS:
        raise _ambiguous(f"an entry of type {kind!r}")
    return _Header(path=path, type=kind, size=size)


def _member(header: _Header, said: dict[str, bytes]) -> Member:
    path, size, kind = said.get("path") or header.path, header.size, _KINDS[header.type]
    if said.get("size"):
        size = _said_size(said["size"], header.size)
    if kind == "file" and path.endswith(b"/"):
        if header.type != b"\0" or size:
            raise _ambiguous("a file with a slash at its end")
        kind = "folder"
    if kind != "file" and size:
        raise _ambiguous(f"a {kind} with content")
    return Member(path=_path(path), kind=kind, size=size)


def _said_size(text: bytes, in_header: int) -> int:
    size = int(text) if _SIZE.fullmatch(text) else -1
    if size != in_header and (size < _LARGE or in_header):
        raise _ambiguous("two sizes of one file")
    return size


def _records(data: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    at = 0
    while at < len(data):
        record = _RECORD.match(data, at)
        end = at + int(record[1]) if record else 0
        if record is None or not record.end() < end <= len(data) or data[end - 1 : end] != b"\n":
            raise _ambiguous("an extension that cannot be read")
        name, value = record[2].decode(errors="surrogateescape"), data[record.end() : end - 1]
        refused = name.startswith("GNU.sparse.") or ".overlay." in name or name in {"hdrcharset", "pax"}
        if refused or name in found or (name in {"path", "linkpath"} and b"\0" in value):
            raise _ambiguous(f"the extension {name[:80]!a}")
        found[name] = value
        at = end
    return found


def _path(raw: bytes) -> str:
    """The path, unless it could be meant in two ways."""
    path = raw.decode(errors="surrogateescape")
    bare = path.removeprefix("./").removeprefix("/").removesuffix("/")
    parts = bare.split("/") if bare not in {"", "."} else []
    if len(raw) > MAX_PATH_BYTES or len(parts) > MAX_PATH_DEPTH or not {"", ".", ".."}.isdisjoint(parts):
        raise _ambiguous(f"the path {path[:200]!a}")
    return "/".join(parts)


def _number(field: bytes) -> int:
    if field[0] == 0x80:  # GNU's notation for what is too large for octal digits
        return int.from_bytes(field[1:], "big")
    found = _OCTAL.fullmatch(field)
    if found is None:
        raise _ambiguous(f"the number {field!r}")
    return int(found[1] or b"0", 8)


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _ambiguous(what: str) -> SignatureError:
    return invalid_document("a layer", what, "a tar that every reader reads in the same way")
