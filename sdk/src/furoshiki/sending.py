# SPDX-License-Identifier: Apache-2.0
"""Sends the files of an upload: several connections, large files in parts, nothing twice.

What the registry holds already, whole files or parts, is not sent. So after a cut or a killed client, pushing again goes on
where the last push ended. Parts are put together by the registry, which checks the digest of the whole.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from furoshiki.api import API, Api
from furoshiki.progress import OnProgress, Progress
from furoshiki.sources import SourceFile
from furoshiki.steps import FileBody, Reply, Request, Steps, path, together

CONNECTIONS: Final = 4  # requests of one push at once
STORE_TIMEOUT: Final = 300.0  # seconds of silence tolerated while the server stores or inspects what it was sent


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadFile:
    """One file of an upload."""

    path: str
    size: int  # bytes
    digest: str
    received: bool = False  # whether the registry holds its bytes
    parts: tuple[int, ...] = ()  # numbers of the parts that it holds otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A version in the making; invisible until it is completed."""

    id: str
    model: str
    state: str  # "open", "completed" or "aborted"
    expires_at: datetime | None = None
    part_bytes: int = 0  # size of a part of a large file; 0: the registry takes none
    files: tuple[UploadFile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    file: SourceFile
    start: int
    size: int

    @property
    def is_file(self) -> bool:
        return self.size == self.file.size


@dataclass(slots=True, kw_only=True)
class _Meter:
    """Adds up what the pieces of one transfer have sent; told from several threads."""

    total: int
    done: int
    tell: OnProgress | None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, piece: _Piece) -> Callable[[int], None]:
        """What one piece reports to; it may begin anew."""
        sent = 0

        def advance(now: int) -> None:
            nonlocal sent
            with self.lock:
                self.done += now - sent
                sent = now
                if self.tell is not None:
                    self.tell(Progress(phase="upload", path=piece.file.path, done=self.done, total=self.total))

        return advance


def send_files(api: Api, upload: Upload, files: Sequence[SourceFile], progress: OnProgress | None) -> Steps[None]:
    """Sends what the registry lacks.

    Args:
        api: Whose client to use.
        upload: What was declared, and what the registry holds of it.
        files: All its files.
        progress: Told the bytes sent, those that need not be included.
    """
    held, part_bytes = {file.path: file for file in upload.files}, upload.part_bytes
    lacking = [file for file in files if not held[file.path].received]
    pieces = [piece for file in lacking for piece in _pieces(file, held[file.path], part_bytes)]
    total = sum(file.size for file in files)
    meter = _Meter(total=total, done=total - sum(piece.size for piece in pieces), tell=progress)
    if progress is not None and files:
        progress(Progress(phase="upload", path=files[0].path, done=meter.done, total=total))
    yield from together([_sending(api, upload.id, piece, meter) for piece in pieces], at_once=CONNECTIONS)
    for file in lacking:
        if _in_parts(file, part_bytes):
            yield from api.send(_request(upload.id, file, b"", f"bytes */{file.size}"))


def _in_parts(file: SourceFile, part_bytes: int) -> bool:
    return 0 < part_bytes < file.size


def _pieces(file: SourceFile, held: UploadFile, part_bytes: int) -> list[_Piece]:
    if not _in_parts(file, part_bytes):
        return [_Piece(file=file, start=0, size=file.size)]
    starts = enumerate(range(0, file.size, part_bytes))
    return [
        _Piece(file=file, start=start, size=min(part_bytes, file.size - start))
        for number, start in starts
        if number not in held.parts
    ]


def _sending(api: Api, upload: str, piece: _Piece, meter: _Meter) -> Callable[[], Steps[Reply]]:
    body = FileBody(
        path=piece.file.location,
        size=piece.size,
        offset=piece.start,
        file_size=piece.file.size,
        on_sent=meter.of(piece),
    )
    last = piece.start + piece.size - 1
    part = None if piece.is_file else f"bytes {piece.start}-{last}/{piece.file.size}"
    return lambda: api.send(_request(upload, piece.file, body, part))


def _request(upload: str, file: SourceFile, body: bytes | FileBody, part: str | None) -> Request:
    return Request(
        method="PUT",
        path=API + path("uploads", upload, "files", *file.path.split("/")),
        headers={"Content-Type": "application/octet-stream", **({} if part is None else {"Content-Range": part})},
        body=body,
        read_timeout=STORE_TIMEOUT,
    )
