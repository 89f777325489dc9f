# SPDX-License-Identifier: Apache-2.0
"""The builder ``bentoml``: the Dockerfile that BentoML writes, built by podman or buildah as BentoML starts them.

For Bentos that want Debian packages or commands of their own. It builds upon the image that ``bento.yaml`` names, not upon
one of ours, and fetches packages while it builds: it needs a network and is not reproducible. What it makes is described and
signed like any other image, with the base it was really built upon.

BentoML reports some failures by printing them and going on. So its exit status is not believed: the image must be there.
"""

from __future__ import annotations

import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Final

import yaml

from artifacts.digest import parse_digest
from artifacts.oci.blobs import room_on_disk
from artifacts.oci.documents import ImageManifest
from artifacts.oci.layout import Layout
from core.errors import ErrorCode, Unavailable
from registry_api.images.builders.bento import DESCRIPTION, place
from registry_api.images.builders.configuration import labels_of, layers_of
from registry_api.images.builders.dependencies import copy_blob
from registry_api.images.builders.interface import BuildRequest, BuiltImage, Tell, builder_missing, wrong_platform
from registry_api.images.builders.layers import timed
from registry_api.images.builders.machine import own_architecture
from registry_api.images.builders.running import run, tool_failed
from registry_api.images.builders.storage import TOOLS, PrivateStorage

_NAME: Final = "localhost/furoshiki-image:latest"
_NO_BASE: Final = "creating build container: initializing source"  # what podman and buildah say then


class BentomlBuilder:
    """Implements :class:`registry_api.images.builders.interface.ImageBuilder`."""

    name: Final = "bentoml"

    def missing(self) -> str | None:
        """What it lacks here."""
        return None if self._backend() else f"none of {', '.join(TOOLS)} is installed."

    def version(self) -> str:
        """Of BentoML and of what it starts."""
        return f"{version('bentoml')} ({self._backend()})"

    def build(self, request: BuildRequest, target: Layout, tell: Tell) -> BuiltImage:
        """Runs BentoML; see the port for what it raises."""
        backend = self._backend()
        if backend is None:
            raise builder_missing(self.name, str(self.missing()))
        if request.platform.architecture != own_architecture():
            raise wrong_platform("What BentoML makes here", own_architecture(), request.platform)
        seconds: dict[str, float] = {}
        made = request.scratch / "made"
        store = _store(request)
        with room_on_disk(), PrivateStorage(request.scratch / "storage", tell) as storage:
            with timed(seconds, "bentoml"):
                printed = _containerize(backend, store, storage, tell)
            with timed(seconds, "copy"):
                _export(backend, made, storage, printed)
            base = _base_digest(request.bento, backend, storage)
        image = _adopt(Layout.open(made), request, target)
        shutil.rmtree(made)
        return BuiltImage(
            image=target.put_manifest(image, platform=request.platform),
            layers=tuple(layers_of(target, image, name="other")),
            base=base,
            builder=self.name,
            builder_version=self.version(),
            seconds=seconds,
        )

    def _backend(self) -> str | None:
        return next((name for name in TOOLS if shutil.which(name)), None)


def _store(request: BuildRequest) -> Path:
    """A BentoML home that holds the Bento alone."""
    description = yaml.safe_load((request.bento / DESCRIPTION).read_bytes())
    home = request.scratch / "bentoml"
    name, version = str(description["name"]), str(description["version"])
    for entry in request.manifest.files:
        place(request.bento, entry, home / "bentos" / name / version / entry.path)
    (home / "bentos" / name / "latest").write_text(version)
    return home


def _containerize(backend: str, home: Path, storage: PrivateStorage, tell: Tell) -> str:
    name = next((home / "bentos").iterdir()).name
    argv = [
        sys.executable,
        "-m",
        "bentoml",
        "containerize",
        f"{name}:latest",
        "--backend",
        backend,
        "--image-tag",
        _NAME,
    ]
    env = {**storage.environment, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}
    ended = run(argv, what="bentoml containerize", env=env, tell=tell)
    if _NO_BASE in ended.printed:
        raise Unavailable(
            ErrorCode.IMAGE_BASE,
            f"The base image that {DESCRIPTION} names cannot be had: {ended.printed[-1000:].strip()}",
        )
    return ended.checked()


def _export(backend: str, made: Path, storage: PrivateStorage, printed: str) -> None:
    made.mkdir()
    target = f"{storage.layout('made', made)}:image"
    pushed = storage.run(backend, "push", *storage.policy, "--format", "oci", _NAME, target)
    if pushed.status != 0:
        raise tool_failed("bentoml containerize", 0, f"It says that it succeeded, but made no image.\n{printed}")


def _base_digest(bento: Path, backend: str, storage: PrivateStorage) -> str:
    """Digest of the image that ``bento.yaml`` names, as it was pulled."""
    base = yaml.safe_load((bento / DESCRIPTION).read_bytes())["image"]["base_image"]
    found = storage.run(backend, "images", "--digests", "--format", "{{.Digest}}", str(base)).printed.split()
    if not found:
        raise Unavailable(ErrorCode.IMAGE_BASE, f"The base image {base!r} was used, but is not there any more.")
    return parse_digest(found[0])


def _adopt(made: Layout, request: BuildRequest, target: Layout) -> ImageManifest:
    """Copies what was made into ``target``; returns its manifest, with our annotations."""
    entry = made.resolve("image")
    if entry is None:
        raise tool_failed("podman push", 0, "the layout it wrote holds no image")
    manifest = made.manifest(entry)
    for blob in manifest.blobs:
        copy_blob(blob, made, target)
    labels = {name: value for name, value in labels_of(request).items() if not name.endswith("base.digest")}
    return ImageManifest(config=manifest.config, layers=manifest.layers, annotations=labels)
