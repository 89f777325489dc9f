# SPDX-License-Identifier: Apache-2.0
"""An OCI image layout: a folder that holds images and everything attached to them, each blob under its digest.

Follows the OCI image specification v1.1, ``image-layout.md``; read and written by skopeo, buildah and podman as ``oci:``.

Rules. A blob appears whole or not at all, and only under the digest its bytes have. Whatever is read was checked against
its descriptor first: digest, size, plain file, no links. ``index.json`` is replaced in one step, by one writer at a time.
Opening a layout trusts nothing in it; a layout does not say who made it, signatures do (:mod:`artifacts.oci.attach`).
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final

from artifacts.digest import Digest
from artifacts.durable import write_atomically
from artifacts.oci.blobs import (
    BlobWriter,
    blob_size,
    check_folder,
    open_blob,
    open_plain,
    read_blob,
    room_on_disk,
    sweep_parts,
    written_blob,
)
from artifacts.oci.descriptor import Descriptor, Platform
from artifacts.oci.documents import (
    MAX_DOCUMENT_BYTES,
    Document,
    ImageIndex,
    ImageManifest,
    encode_document,
    parse_document,
    strict_json,
)
from artifacts.oci.entries import Entries, check_name, named, with_entry, without
from artifacts.oci.media import IMAGE_INDEX, REF_NAME
from artifacts.oci.refusals import invalid_document, missing_blob, too_large, wrong_digest, wrong_size
from artifacts.paths import missing_file
from core.errors import Conflict, ErrorCode

__all__ = ["Descriptor", "Document", "ImageIndex", "ImageManifest", "Layout", "Platform"]

_MARK: Final = "oci-layout"
_INDEX: Final = "index.json"
_VERSION: Final = "1.0.0"


class Layout:
    """One layout. Made by :meth:`create` or :meth:`open`. Its methods block; several processes may write at once.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def create(cls, root: Path) -> Layout:
        """Makes an empty layout in a folder that is new or empty.

        Raises:
            Conflict: ``STATE_002`` if the folder holds anything.
            Unavailable: ``STORE_004`` if the disk is full.
        """
        with room_on_disk():
            root.mkdir(parents=True, exist_ok=True)
            if next(root.iterdir(), None) is not None:
                raise Conflict(
                    ErrorCode.RESOURCE_EXISTS, "The folder for an OCI layout is not empty. Name a new or empty one."
                )
            (root / "blobs" / "sha256").mkdir(parents=True)
            layout = cls(root)
            layout._write_index(ImageIndex(manifests=()))
            mark = json.dumps({"imageLayoutVersion": _VERSION}).encode()
            write_atomically(root / _MARK, mark, mode=0o644, replace=True)
        return layout

    @classmethod
    def open(cls, root: Path) -> Layout:
        """Opens a layout and reads its index; blobs are checked when they are read. Unfinished files of a day ago go.

        Raises:
            SignatureError: ``SIGN_006`` if a file is missing, ``SIGN_007`` if one is a link or not plain, ``SIGN_010`` if one
                is malformed or of another version.
            InvalidRequest: ``VALID_003`` if one is too large.
        """
        layout = cls(root)
        mark = strict_json(layout._small_file(_MARK))
        version = mark.get("imageLayoutVersion") if isinstance(mark, dict) else None
        if version != _VERSION:
            raise invalid_document("imageLayoutVersion", version, _VERSION)
        check_folder(root)
        layout.index()
        sweep_parts(root)
        return layout

    def index(self) -> ImageIndex:
        """What the layout says it holds: the manifests and indexes that are its entry points.

        Raises as :meth:`open`.
        """
        found = parse_document(self._small_file(_INDEX), IMAGE_INDEX)
        if not isinstance(found, ImageIndex):
            raise invalid_document(_INDEX, "an image manifest", "an image index")
        return found

    def resolve(self, tag: str) -> Descriptor | None:
        """The entry of the index that has the name ``tag``; None if none has.

        Raises:
            SignatureError: ``SIGN_010`` if several have.
        """
        return named(self.index().manifests, tag)

    def add(self, entry: Descriptor, *, tag: str | None = None) -> Descriptor:
        """Makes a manifest of this layout an entry of its index; the name ``tag`` moves to it. May be done again.

        Raises:
            InvalidRequest: ``VALID_002`` if ``tag`` cannot be one.
            NotFound: ``STORE_002`` if the layout does not hold it.
        """
        entry = entry.annotated(**{REF_NAME: None if tag is None else check_name(tag)})
        if self.size_of(entry.digest) is None:
            raise missing_blob(entry.digest, where="The layout")
        self._change(lambda entries: with_entry(entries, entry))
        return entry

    def remove(self, digest: Digest) -> None:
        """Takes a manifest out of the index. Its blobs stay."""
        self._change(lambda entries: without(entries, digest))

    def size_of(self, digest: Digest) -> int | None:
        """Bytes of a blob, which are not checked; None if it is not there.

        Raises:
            InvalidRequest: ``VALID_002`` if ``digest`` is none.
            SignatureError: ``SIGN_007`` if it is there but not as a plain file.
        """
        return blob_size(self.root, digest)

    def writer(self) -> AbstractContextManager[BlobWriter]:
        """Writes one blob of unknown digest, in constant memory: ``with layout.writer() as blob: blob.write(...)``.

        After the block ``blob.described(media_type)`` is its descriptor. An error inside the block leaves nothing behind; a
        full disk is ``STORE_004`` (Unavailable).
        """
        return written_blob(self.root)

    def put_blob(self, chunks: Iterable[bytes], *, media_type: str, expected: Descriptor | None = None) -> Descriptor:
        """Writes one blob, in constant memory.

        Args:
            chunks: The bytes, in pieces of any size. What it raises passes through unchanged.
            media_type: For the descriptor that is returned.
            expected: What they must be; None: whatever they are.

        Raises:
            SignatureError: ``SIGN_004`` if they are not what was expected; then nothing was written.
            Unavailable: ``STORE_004`` if the disk is full.
        """
        with self.writer() as blob:
            for chunk in chunks:
                blob.write(chunk)
                if expected is not None and blob.tell() > expected.size:
                    raise wrong_size(expected.digest, expected.size, blob.tell(), where="the source")
            if expected is not None and blob.tell() != expected.size:
                raise wrong_size(expected.digest, expected.size, blob.tell(), where="the source")
            if expected is not None and blob.digest != expected.digest:
                raise wrong_digest(expected.digest, blob.digest, where="the source")
        return blob.described(media_type)

    def put_bytes(self, data: bytes, *, media_type: str) -> Descriptor:
        """Writes one small blob, such as a configuration."""
        return self.put_blob([data], media_type=media_type)

    def put_manifest(
        self, document: Document, *, tag: str | None = None, platform: Platform | None = None, entry: bool = True
    ) -> Descriptor:
        """Writes a manifest or an index, canonically.

        Args:
            document: What to write.
            tag: Its name in this layout, which moves to it; None: none.
            platform: For its descriptor.
            entry: Whether it becomes an entry of the layout's index; False for a part of another index.

        Raises:
            InvalidRequest: ``VALID_002`` if ``tag`` cannot be one, ``VALID_003`` if the document is too large.
            Unavailable: ``STORE_004`` if the disk is full.
        """
        written = self.put_bytes(encode_document(document), media_type=document.media_type)
        described = replace(written, platform=platform, artifact_type=document.artifact_type)
        return self.add(described, tag=tag) if entry else described

    def open_blob(self, descriptor: Descriptor) -> BinaryIO:
        """Opens a blob at its beginning, after all its bytes were checked through the same open file.

        Raises:
            NotFound: ``STORE_002`` if it is not there.
            SignatureError: ``SIGN_004`` if digest or size are others, ``SIGN_007`` if it is not a plain file.
        """
        return open_blob(self.root, descriptor.digest, descriptor.size)

    def read_blob(self, descriptor: Descriptor, *, limit: int = MAX_DOCUMENT_BYTES) -> bytes:
        """The whole of a small blob, checked. Raises as :meth:`open_blob`, and ``VALID_003`` beyond ``limit`` bytes."""
        if descriptor.size > limit:
            raise too_large(f"Blob {descriptor.digest}", descriptor.size, limit)
        return read_blob(self.root, descriptor.digest, descriptor.size)

    def document(self, descriptor: Descriptor) -> Document:
        """A manifest or an index of this layout. Raises as :meth:`read_blob`, and ``SIGN_010`` if it is malformed."""
        return parse_document(self.read_blob(descriptor), descriptor.media_type)

    def manifest(self, descriptor: Descriptor) -> ImageManifest:
        """An image manifest of this layout. Raises as :meth:`document`, and ``SIGN_010`` if it is an index."""
        found = self.document(descriptor)
        if not isinstance(found, ImageManifest):
            raise invalid_document("mediaType", found.media_type, "an image manifest")
        return found

    def _opened(self, name: str) -> BinaryIO:
        file = open_plain(self.root, name)
        if file is None:
            raise missing_file(name)
        return file

    def _small_file(self, name: str) -> bytes:
        with self._opened(name) as file:
            return file.read(MAX_DOCUMENT_BYTES + 1)

    def _write_index(self, index: ImageIndex) -> None:
        with room_on_disk():
            write_atomically(self.root / _INDEX, encode_document(index), mode=0o644, replace=True)

    def _change(self, change: Callable[[Entries], Entries]) -> None:
        with self._opened(_MARK) as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            index = self.index()
            self._write_index(replace(index, manifests=change(index.manifests)))
