# SPDX-License-Identifier: Apache-2.0
"""The layer with a Bento's pinned packages: their wheels installed by pip, and compiled.

Layers are kept in the cache folder under the digest of what they are made from, and taken from there when the same is asked
for again: a new version of a model costs none of this.
"""

from __future__ import annotations

import fcntl
import shutil
import sys
from pathlib import Path
from typing import Final

import msgspec

from artifacts.digest import digest_bytes, hex_of
from artifacts.durable import write_atomically
from artifacts.oci.blobs import room_on_disk
from artifacts.oci.layout import Descriptor, Layout
from artifacts.oci.media import LAYER_TAR_GZIP
from core.errors import ErrorCode, FuroshikiError, JobError
from registry_api.images.builders import bytecode
from registry_api.images.builders.interface import BuildRequest, BuiltLayer, Tell
from registry_api.images.builders.layer import GZIP_LEVEL, tree, write_layer
from registry_api.images.builders.running import run
from registry_api.images.builders.tidying import tidy
from registry_api.images.builders.wheels import PYTHON, fetch_wheels, pins_digest, pip

PACKAGES: Final = "usr/local/lib/python3.11/dist-packages"
"""Debian's Python looks here by itself: no variable is needed, and ``.pth`` files work."""
_FORMAT: Final = 1  # of the layer; another number makes every cached one stale


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A layer in the cache."""

    digest: str
    size: int
    diff_id: str
    plain: int


def dependency_layer(request: BuildRequest, target: Layout, tell: Tell) -> BuiltLayer:
    """Puts the layer of the Bento's packages into ``target``.

    Raises:
        InvalidRequest: ``IMAGE_003`` if there are no wheels for the platform.
        JobError: ``JOB_002`` if pip does not find a package, or only as source.
        Unavailable: ``STORE_004`` if the disk is full.
    """
    made_from = digest_bytes(f"{_FORMAT} {GZIP_LEVEL} {pins_digest(request)}".encode())
    note = request.cache / "dependencies" / f"{hex_of(made_from)}.json"
    kept = _kept_layers(request.cache)
    found = _cached(note, kept, target)
    if found is not None:
        tell(f"the packages are those of an earlier build: {found.blob.digest}")
        return found
    layer = _install(request, kept, tell)
    with room_on_disk():
        note.parent.mkdir(parents=True, exist_ok=True)
        written = _Kept(digest=layer.blob.digest, size=layer.blob.size, diff_id=layer.diff_id, plain=layer.size)
        write_atomically(note, msgspec.json.encode(written), mode=0o600, replace=True)
    copy_blob(layer.blob, kept, target)
    return layer


def copy_blob(blob: Descriptor, source: Layout, target: Layout) -> None:
    """Copies a blob from one layout into another, checked on the way."""
    with source.open_blob(blob) as file:
        target.put_blob(iter(lambda: file.read(1 << 20), b""), media_type=blob.media_type, expected=blob)


def compile_folder(folder: Path, prefix: str) -> None:
    """Compiles the Python files below ``folder``, which will lie at ``prefix`` in the image.

    Raises:
        JobError: ``JOB_002`` if this is another Python than the images', or the child that compiles fails.
    """
    if f"{sys.version_info[0]}.{sys.version_info[1]}" != PYTHON:
        raise JobError(ErrorCode.JOB_FAILED, f"Images hold Python {PYTHON} and are built by it; this is another.")
    argv = [sys.executable, "-I", str(bytecode.__file__), str(folder), prefix]
    run(argv, what="compiling", env={"PYTHONHASHSEED": "0"}).checked()


def _kept_layers(cache: Path) -> Layout:
    """The layout with the layers of earlier builds, made by whichever build comes first."""
    with room_on_disk():
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / "layers.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            root = cache / "layers"
            return Layout(root) if (root / "oci-layout").exists() else Layout.create(root)


def _cached(note: Path, kept: Layout, target: Layout) -> BuiltLayer | None:
    """The cached layer, copied; None if there is none, or it is damaged."""
    try:
        found = msgspec.json.decode(note.read_bytes(), type=_Kept)
        blob = Descriptor(media_type=LAYER_TAR_GZIP, digest=found.digest, size=found.size)
        copy_blob(blob, kept, target)
    except FuroshikiError as error:
        if error.code is ErrorCode.STORE_FULL:
            raise
        return None
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    return BuiltLayer(name="dependencies", blob=blob, size=found.plain, diff_id=found.diff_id, cached=True)


def _install(request: BuildRequest, kept: Layout, tell: Tell) -> BuiltLayer:
    wheels = fetch_wheels(request, tell)
    folder = request.scratch / "packages"
    tell(f"installing {len(list(wheels.iterdir()))} packages")
    try:
        with room_on_disk():
            pip(request, "install", "--no-compile", "--no-index", "--find-links", str(wheels), "--target", str(folder))
            tidy(folder)
            tell("compiling and packing them")
            compile_folder(folder, f"/{PACKAGES}")
            return write_layer(kept, "dependencies", tree(folder, PACKAGES))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
