# SPDX-License-Identifier: Apache-2.0
"""What an image holds, read from its layers: packages of Debian and Python, and the files of its Bento.

The layers are read, never unpacked, each blob checked against its digest first and its uncompressed bytes against the image's
configuration. What counts is what a container would see (:mod:`artifacts.supply.filesystem`), and a layer that could be
unpacked in two ways is refused (:mod:`artifacts.supply.tars`). So it does not matter who built the image.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Final

from artifacts.digest import Digest, StreamingDigest
from artifacts.oci.documents import ImageManifest, strict_json
from artifacts.oci.layout import Descriptor, Layout
from artifacts.oci.media import LAYER_TAR, LAYER_TAR_GZIP
from artifacts.oci.refusals import invalid_document, wrong_digest
from artifacts.supply.filesystem import Filesystem
from artifacts.supply.packages import Package, installed_packages
from artifacts.supply.tars import Member, TarReader

BENTO_PATH: Final = "home/bentoml/bento"
"""Where the Bento lies in every image, below ``/``; BentoML's own images have it there too."""
NAME_LABEL: Final = "dev.furoshiki.layer"
"""Annotation of a layer's descriptor: its name, such as ``model``."""
MAX_ENTRIES: Final = 1_000_000  # of all layers together
MAX_PLAIN_BYTES: Final = 1 << 37  # of all layers together, uncompressed
MAX_KEPT_BYTES: Final = 1 << 28  # of all files that are kept, replaced ones included
KEPT_BYTES: Final = 1 << 20  # largest file of the Bento whose bytes are kept
_GZIPPED: Final = frozenset({LAYER_TAR_GZIP, "application/vnd.docker.image.rootfs.diff.tar.gzip"})
_PACKED: Final = (
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ\0",
    b"\x28\xb5\x2f\xfd",
)  # gzip, bzip2, xz, zstd: unpackers look for these
_TOLD: Final = ("var/lib/dpkg/status", "etc/os-release", "usr/lib/os-release")
_NOT_PLAIN: Final = "no plain file"  # stands for the digest of a link, device or pipe: no signed manifest lists one
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What counts of an image."""

    packages: tuple[Package, ...]  # sorted
    system: str  # "debian 12", or "" where the image does not say
    bento: Mapping[str, Digest]  # files of the Bento, by their path below it
    small: Mapping[str, bytes]  # bytes of the Bento's signed documents, by the same paths


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """What is remembered of a file."""

    digest: Digest = ""  # of the Bento's files
    data: bytes | None = None  # None: not kept


@dataclass(slots=True)
class _Seen:
    """The image as the layers read so far make it."""

    files: Filesystem[_File] = field(default_factory=Filesystem)
    entries: int = 0
    plain: int = 0
    kept: int = 0

    def keep(self, size: int) -> None:
        """Counts a file whose bytes are kept."""
        self.kept += size
        if self.kept > MAX_KEPT_BYTES:
            raise invalid_document("layers", "too many descriptions of packages", f"at most {MAX_KEPT_BYTES} bytes")


def read_contents(layout: Layout, manifest: ImageManifest) -> Contents:
    """Reads every layer of an image once.

    Raises:
        SignatureError: ``SIGN_004`` if a blob is not what its digest says, ``SIGN_010`` if a layer is no tar, is compressed
            in an unknown way, could be unpacked in two ways, or there is more than the limits of this module.
        NotFound: ``STORE_002`` if a blob is missing.
    """
    seen = _Seen()
    for layer, diff_id in zip(manifest.layers, diff_ids(layout, manifest), strict=True):
        try:
            _read_layer(layout, layer, diff_id, seen)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise invalid_document(f"layer {layer.digest}", type(error).__name__, "a tar, plain or by gzip") from None
    below, files = f"{BENTO_PATH}/", dict(seen.files.marks())
    bento = {path.removeprefix(below): found for path, found in files.items() if path.startswith(below)}
    told = {path: found.data for path, found in files.items() if found.data is not None and not path.startswith(below)}
    return Contents(
        packages=installed_packages(told),
        system=_system(told),
        bento={path: found.digest for path, found in bento.items()},
        small={path: found.data for path, found in bento.items() if found.data is not None},
    )


def diff_ids(layout: Layout, manifest: ImageManifest) -> tuple[Digest, ...]:
    """Digests of an image's uncompressed layers, as its configuration says; one for each layer.

    Raises:
        SignatureError: ``SIGN_004`` if the configuration is not what its digest says, ``SIGN_010`` if it is malformed.
    """
    config = strict_json(layout.read_blob(manifest.config))
    rootfs = config.get("rootfs") if isinstance(config, dict) else None
    ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(ids, list) or len(ids) != len(manifest.layers):
        raise invalid_document("rootfs.diff_ids", ids, f"a list of {len(manifest.layers)} digests")
    return tuple(str(found) for found in ids)


def _read_layer(layout: Layout, layer: Descriptor, diff_id: str, seen: _Seen) -> None:
    seen.files.next_layer()
    with _plain(layout, layer) as stream:
        counted = _Counted(stream, seen)
        tar = TarReader(counted)
        for member in tar:
            seen.entries += 1
            if seen.entries > MAX_ENTRIES:
                raise invalid_document("layers", "too many entries", f"at most {MAX_ENTRIES}")
            if seen.files.removed(member.path):
                continue
            if member.kind == "folder":
                seen.files.folder(member.path)
            else:
                seen.files.file(member.path, _remembered(tar, member, seen), link=member.kind == "link")
    if counted.digest.value != diff_id:
        raise wrong_digest(diff_id, counted.digest.value, where="the image's configuration")


def _remembered(tar: TarReader, member: Member, seen: _Seen) -> _File | None:
    if member.path.startswith(f"{BENTO_PATH}/"):
        return _of_bento(tar, member, seen) if member.kind == "file" else _File(digest=_NOT_PLAIN)
    return _File(data=_bytes(tar, member, seen)) if member.kind == "file" and _is_told(member.path) else None


def _of_bento(tar: TarReader, member: Member, seen: _Seen) -> _File:
    digest, kept = StreamingDigest(), []
    documents = member.path.startswith(f"{BENTO_PATH}/src/model/") and member.path.endswith((".json", ".sig"))
    keeps = documents and member.size <= KEPT_BYTES
    if keeps:
        seen.keep(member.size)
    while chunk := tar.read(_PIECE):
        digest.update(chunk)
        if keeps:
            kept.append(chunk)
    return _File(digest=digest.value, data=b"".join(kept) if keeps else None)


def _is_told(path: str) -> bool:
    """Whether a file says which packages are installed."""
    return path in _TOLD or path.startswith("var/lib/dpkg/status.d/") or path.endswith(".dist-info/METADATA")


def _bytes(tar: TarReader, member: Member, seen: _Seen) -> bytes:
    limit = KEPT_BYTES << 5
    if member.size > limit:
        raise invalid_document(member.path, f"{member.size} bytes", f"at most {limit} bytes")
    seen.keep(member.size)
    return tar.read(member.size)


def _system(kept: Mapping[str, bytes]) -> str:
    text = next(
        (kept[path].decode(errors="replace") for path in reversed(_TOLD) if "os-release" in path and path in kept), ""
    )
    fields = dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line)
    return " ".join(fields[name].strip('"') for name in ("ID", "VERSION_ID") if name in fields)


class _Counted:
    """Hashes and counts what is read, and stops at the limit."""

    def __init__(self, stream: IO[bytes], seen: _Seen) -> None:
        self._stream = stream
        self._seen = seen
        self.digest = StreamingDigest()

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._seen.plain += len(data)
        if self._seen.plain > MAX_PLAIN_BYTES:
            raise invalid_document("layers", "too large", f"at most {MAX_PLAIN_BYTES} bytes")
        self.digest.update(data)
        return data


@contextmanager
def _plain(layout: Layout, layer: Descriptor) -> Iterator[IO[bytes]]:
    with layout.open_blob(layer) as file:
        if layer.media_type in _GZIPPED:
            with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
                yield unpacked  # type: ignore[misc] # a GzipFile reads like any other
        elif layer.media_type == LAYER_TAR and not file.read(6).startswith(_PACKED):
            file.seek(0)
            yield file
        else:
            raise invalid_document("mediaType of a layer", layer.media_type, "a tar, plain or by gzip")
