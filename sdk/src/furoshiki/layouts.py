# SPDX-License-Identifier: Apache-2.0
"""Downloads an image as an OCI layout: a folder that podman, skopeo and ``furo image push`` read.

What is there already with the right digest stays, and of a blob that was cut the beginning, so a download goes on when it is
run again. Nothing counts before it was hashed, no link is followed, and ``index.json`` comes last: a folder that has one is
whole. Who made the image, ``furo image verify`` says. After the OCI image specification v1.1, ``image-layout.md``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import msgspec

from furoshiki.api import Api
from furoshiki.bundle.refusals import Reason, refuse
from furoshiki.downloads import READ_TIMEOUT, FileSink, flush
from furoshiki.errors import LOCAL_FILE, InvalidRequest, SignatureRefused
from furoshiki.progress import OnProgress, Progress
from furoshiki.steps import Request, Steps, path, work

MARK: Final = "oci-layout"
INDEX: Final = "index.json"
_MARKED: Final = b'{"imageLayoutVersion": "1.0.0"}'
_MOST_DOCUMENT_BYTES: Final = 4 * 1024 * 1024
_MOST_DOCUMENTS: Final = 1000
_PIECE: Final = 1024 * 1024  # bytes hashed at a time
_PREFIX: Final = "sha256:"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFolder:
    """An image on this machine, with everything attached to it."""

    directory: Path  # an OCI layout
    digest: str  # of the image's manifest
    fetched: int  # bytes that travelled
    kept: int  # bytes that were there already


class Blob(msgspec.Struct, frozen=True, rename="camel"):
    """Content by digest, as OCI documents name it."""

    digest: Annotated[str, msgspec.Meta(pattern=rf"\A{_PREFIX}[0-9a-f]{{64}}\Z")]
    size: Annotated[int, msgspec.Meta(ge=0)]  # bytes

    @property
    def hex(self) -> str:
        """The digest's digits: the name of the file."""
        return self.digest.removeprefix(_PREFIX)


class _Document(msgspec.Struct, frozen=True):
    """A manifest or an index; what names no content is not read."""

    config: Blob | None = None
    layers: tuple[Blob, ...] = ()
    manifests: tuple[Blob, ...] = ()


class LayoutDownload:
    """One image on its way into a folder.

    Args:
        api: Whose client to use.
        root: API path that has ``/index`` and ``/blobs/…`` below it.
        directory: Where to: new, empty, or what an earlier download of the same image left.
        progress: Told the bytes so far.
    """

    def __init__(self, api: Api, root: str, directory: Path, progress: OnProgress | None) -> None:
        self._api = api
        self._root = root
        self._directory = directory
        self._progress = progress
        self._total = 0  # bytes of all blobs that are known of
        self._fetched = 0
        self._kept = 0

    def run(self, digest: str) -> Steps[ImageFolder]:
        """Downloads the image ``digest``.

        Raises:
            SignatureRefused: ``SIGN_004`` or ``SIGN_010`` if the registry sends something else.
            InvalidRequest: ``CLIENT_004`` if the folder cannot be written, or holds something else.
        """
        index = (
            yield from self._api.send(Request(method="GET", path=f"{self._root}/index", limit=_MOST_DOCUMENT_BYTES))
        ).body
        entries = _read(index, INDEX).manifests
        if digest not in {entry.digest for entry in entries}:
            raise refuse(Reason.DIGEST_MISMATCH, f"The registry sent an index that does not name the image {digest}.")
        with _writing(self._directory):
            yield from work(lambda: _prepare(self._directory, digest))
            blobs = yield from self._documents(entries)
            self._total += sum(blob.size for blob in blobs)
            for blob in blobs:
                yield from self._bring(blob)
            yield from work(lambda: _replace(self._directory / INDEX, index))
        return ImageFolder(directory=self._directory, digest=digest, fetched=self._fetched, kept=self._kept)

    def _documents(self, entries: tuple[Blob, ...]) -> Steps[list[Blob]]:
        """Brings every document; the blobs they name, each once."""
        pending, seen, named = [*entries], set[str](), dict[str, Blob]()
        while pending:
            entry = pending.pop(0)
            if entry.digest in seen:
                continue
            seen.add(entry.digest)
            if len(seen) > _MOST_DOCUMENTS or entry.size > _MOST_DOCUMENT_BYTES:
                raise refuse(
                    Reason.MANIFEST_INVALID, f"The image has too many documents, or {entry.digest} is too large."
                )
            self._total += entry.size
            yield from self._bring(entry)
            document = _read(self._place(entry).read_bytes(), entry.digest)
            pending += document.manifests
            blobs = document.layers if document.config is None else (document.config, *document.layers)
            named |= {blob.digest: blob for blob in blobs}
        return [blob for blob in named.values() if blob.digest not in seen]

    def _bring(self, blob: Blob) -> Steps[None]:
        """Downloads a blob, unless it is there."""
        place = self._place(blob)
        if (yield from work(lambda: _holds(place, blob))):
            self._kept += blob.size
            self._tell(blob, 0)
            return
        part = self._directory / f".{blob.hex}.part"
        recovered = part.is_file()
        try:
            start = yield from self._receive(blob, part)
        except SignatureRefused:
            if not recovered:
                raise
            start = yield from self._receive(blob, part)  # it was not the beginning of this blob, or not gone on with
        part.replace(place)
        self._kept += start
        self._fetched += blob.size - start

    def _receive(self, blob: Blob, part: Path) -> Steps[int]:
        """Completes ``part``, which goes if it is not the blob then; how many bytes it held already."""
        _unlink_others(part)
        part.touch()
        try:
            with part.open("r+b") as file:
                tell = partial(self._tell, blob)
                sink = FileSink(file, size=blob.size, digest=blob.digest, name=blob.digest, on_bytes=tell)
                start = yield from work(sink.recover)
                if start < blob.size:
                    yield from self._api.send(self._asks(blob, start, sink))
                sink.check()
                yield from work(lambda: flush(file))
                return start
        except SignatureRefused:
            part.unlink()
            raise

    def _asks(self, blob: Blob, start: int, sink: FileSink) -> Request:
        return Request(
            method="GET",
            path=f"{self._root}/blobs{path(blob.digest)}",
            headers={"Range": f"bytes={start}-"} if start else {},
            sink=sink,
            read_timeout=READ_TIMEOUT,
        )

    def _place(self, blob: Blob) -> Path:
        return self._directory / "blobs" / "sha256" / blob.hex

    def _tell(self, blob: Blob, seen: int) -> None:
        if self._progress is not None:
            done = self._fetched + self._kept + seen
            self._progress(Progress(phase="download", path=blob.digest[:19], done=done, total=self._total))


def _read(data: bytes, name: str) -> _Document:
    try:
        return msgspec.json.decode(data, type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise refuse(Reason.MANIFEST_INVALID, f"The registry sent {name}, which is no OCI document.") from None


def _prepare(directory: Path, digest: str) -> None:
    """Makes the folder a layout.

    Raises:
        InvalidRequest: ``CLIENT_004`` if it holds something else.
    """
    if directory.exists() and not directory.is_dir():
        raise _in_the_way(directory, "a file")
    directory.mkdir(parents=True, exist_ok=True)
    if not (directory / MARK).is_file() and any(directory.iterdir()):
        raise _in_the_way(directory, "a folder of other things")
    index, blobs = directory / INDEX, directory / "blobs" / "sha256"
    if blobs.parent.is_symlink() or blobs.is_symlink():
        raise _in_the_way(directory, "a layout with links")
    if index.is_file() and digest.encode() not in index.read_bytes():
        raise _in_the_way(directory, "the layout of another image")
    blobs.mkdir(parents=True, exist_ok=True)
    _replace(directory / MARK, _MARKED)


def _holds(place: Path, blob: Blob) -> bool:
    """Whether a blob is there, whole and undamaged."""
    if not place.is_file() or place.stat().st_size != blob.size:
        return False
    seen = hashlib.sha256()
    with place.open("rb") as file:
        while piece := file.read(_PIECE):
            seen.update(piece)
    return seen.hexdigest() == blob.hex


def _replace(target: Path, data: bytes) -> None:
    part = target.with_name(f".{target.name}.part")
    _unlink_others(part)
    with part.open("wb") as file:
        file.write(data)
        flush(file)
    part.replace(target)


def _unlink_others(part: Path) -> None:
    """Removes what leads to, or is another name of, somebody's file."""
    if part.is_symlink() or (part.exists() and part.stat().st_nlink > 1):
        part.unlink()


@contextmanager
def _writing(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidRequest(
            LOCAL_FILE, f"Cannot write {str(directory)!r}: {error.strerror or error}. What arrived is kept."
        ) from None


def _in_the_way(directory: Path, what: str) -> InvalidRequest:
    return InvalidRequest(
        LOCAL_FILE, f"{str(directory)!r} is {what}; expected no folder, an empty one, or this image's layout."
    )
