# SPDX-License-Identifier: Apache-2.0
"""What an image holds, read from its layers: packages of Debian and Python, and the files of its Bento.

The layers are read, never unpacked, each blob checked against its digest first and its uncompressed bytes against the image's
configuration. What counts is what a container would see: a later layer replaces and removes (``.wh.``) what an earlier one
has, and a link that takes a folder's place takes what was below it. So it does not matter who built the image.
"""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Final

from artifacts.digest import Digest, StreamingDigest
from artifacts.oci.documents import ImageManifest, strict_json
from artifacts.oci.layout import Descriptor, Layout
from artifacts.oci.media import LAYER_TAR, LAYER_TAR_GZIP
from artifacts.oci.refusals import invalid_document, wrong_digest
from artifacts.supply.packages import Package, installed_packages

BENTO_PATH: Final = "home/bentoml/bento"
"""Where the Bento lies in every image, below ``/``; BentoML's own images have it there too."""
MAX_ENTRIES: Final = 2_000_000  # of all layers together
MAX_PLAIN_BYTES: Final = 1 << 37  # of all layers together, uncompressed
KEPT_BYTES: Final = 1 << 20  # largest file whose bytes are kept
_GZIPPED: Final = frozenset({LAYER_TAR_GZIP, "application/vnd.docker.image.rootfs.diff.tar.gzip"})
_REMOVED: Final = ".wh."
_EMPTIED: Final = ".wh..wh..opq"
_TOLD: Final = ("var/lib/dpkg/status", "etc/os-release", "usr/lib/os-release")
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What counts of an image."""

    packages: tuple[Package, ...]  # sorted
    system: str  # "debian 12", or "" where the image does not say
    bento: Mapping[str, Digest]  # files of the Bento, by their path below it
    small: Mapping[str, bytes]  # bytes of the Bento's signed documents, by the same paths


@dataclass(slots=True)
class _Seen:
    """The image as the layers read so far make it."""

    digests: dict[str, Digest] = field(default_factory=dict)
    kept: dict[str, bytes] = field(default_factory=dict)
    entries: int = 0
    plain: int = 0

    def remove(self, path: str, *, itself: bool = True) -> None:
        """Forgets everything below ``path``."""
        below = f"{path}/"
        gone = [found for found in self.digests if found.startswith(below) or (itself and found == path)]
        for found in gone:
            del self.digests[found]
            self.kept.pop(found, None)


def read_contents(layout: Layout, manifest: ImageManifest) -> Contents:
    """Reads every layer of an image once.

    Raises:
        SignatureError: ``SIGN_004`` if a blob is not what its digest says, ``SIGN_010`` if a layer is no tar, is compressed
            in an unknown way, or there is more than the limits of this module.
        NotFound: ``STORE_002`` if a blob is missing.
    """
    seen = _Seen()
    for layer, diff_id in zip(manifest.layers, diff_ids(layout, manifest), strict=True):
        try:
            _read_layer(layout, layer, diff_id, seen)
        except (tarfile.TarError, EOFError, gzip.BadGzipFile, ValueError) as error:
            raise invalid_document(f"layer {layer.digest}", type(error).__name__, "a tar, plain or by gzip") from None
    below = f"{BENTO_PATH}/"
    return Contents(
        packages=installed_packages(seen.kept),
        system=_system(seen.kept),
        bento={path.removeprefix(below): found for path, found in seen.digests.items() if path.startswith(below)},
        small={path.removeprefix(below): data for path, data in seen.kept.items() if path.startswith(below)},
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
    with _plain(layout, layer) as stream:
        counted = _Counted(stream, seen)
        with tarfile.open(fileobj=counted, mode="r|", bufsize=_PIECE) as tar:  # type: ignore[call-overload] # only read
            for member in tar:
                seen.entries += 1
                if seen.entries > MAX_ENTRIES:
                    raise invalid_document("layers", "too many entries", f"at most {MAX_ENTRIES}")
                _take(tar, member, seen)
        while counted.read(_PIECE):
            pass
    if counted.digest.value != diff_id:
        raise wrong_digest(diff_id, counted.digest.value, where="the image's configuration")


def _take(tar: tarfile.TarFile, member: tarfile.TarInfo, seen: _Seen) -> None:
    path = member.name.removeprefix("./").strip("/")
    folder, _, name = path.rpartition("/")
    if name == _EMPTIED:
        seen.remove(folder)
    elif name.startswith(_REMOVED):
        seen.remove(f"{folder}/{name.removeprefix(_REMOVED)}".lstrip("/"))
    elif not member.isdir():
        seen.remove(path)
        if not member.isreg():
            return
        if path.startswith(f"{BENTO_PATH}/"):
            _digest(tar, member, path, seen)
        elif _is_told(path):
            seen.digests[path], seen.kept[path] = "", _bytes(tar, member, path)


def _digest(tar: tarfile.TarFile, member: tarfile.TarInfo, path: str, seen: _Seen) -> None:
    file = _open(tar, member)
    digest, kept = StreamingDigest(), []
    keeps = (
        member.size <= KEPT_BYTES and path.startswith(f"{BENTO_PATH}/src/model/") and path.endswith((".json", ".sig"))
    )
    while chunk := file.read(_PIECE):
        digest.update(chunk)
        if keeps:
            kept.append(chunk)
    seen.digests[path] = digest.value
    if keeps:
        seen.kept[path] = b"".join(kept)


def _is_told(path: str) -> bool:
    """Whether a file says which packages are installed."""
    return path in _TOLD or path.startswith("var/lib/dpkg/status.d/") or path.endswith(".dist-info/METADATA")


def _bytes(tar: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> bytes:
    limit = KEPT_BYTES << 5
    if member.size > limit:
        raise invalid_document(path, f"{member.size} bytes", f"at most {limit} bytes")
    return _open(tar, member).read()


def _open(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(member)
    assert file is not None  # a regular file always has content
    return file


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
        elif layer.media_type == LAYER_TAR:
            yield file
        else:
            raise invalid_document("mediaType of a layer", layer.media_type, "a tar, plain or by gzip")
