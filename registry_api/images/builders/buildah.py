# SPDX-License-Identifier: Apache-2.0
"""The builder ``buildah``: ``deploy/images/Containerfile``, without a daemon, also inside of a container.

Packages are installed by the image's own Python, in a container with chroot isolation, from wheels that were fetched before:
nothing in the build reaches a network, and no secret is given to it. Times are fixed, so two builds of one buildah are the
same bit for bit. Layers are those of the builder ``layers``.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from artifacts.oci.blobs import room_on_disk
from artifacts.oci.documents import ImageManifest
from artifacts.oci.layout import Layout
from artifacts.supply.contents import NAME_LABEL
from registry_api.images.builders import bytecode, tidying
from registry_api.images.builders.bases.making import TAG
from registry_api.images.builders.bases.recipe import RECIPES
from registry_api.images.builders.bento import layer_of, place, refuse_commands
from registry_api.images.builders.configuration import labels_of, layers_of
from registry_api.images.builders.dependencies import copy_blob
from registry_api.images.builders.interface import BuildRequest, BuiltImage, Tell, builder_missing, wrong_platform
from registry_api.images.builders.layers import OF_BENTO, check_base, copy_base, timed
from registry_api.images.builders.machine import own_architecture, runs
from registry_api.images.builders.pins import check_pins
from registry_api.images.builders.running import run, tool_failed
from registry_api.images.builders.storage import PrivateStorage
from registry_api.images.builders.wheels import REQUIREMENTS, fetch_wheels

_NAME: Final = "image"
_NAMES: Final = ("dependencies", *OF_BENTO)


class BuildahBuilder:
    """Implements :class:`registry_api.images.builders.interface.ImageBuilder`."""

    name: Final = "buildah"

    def missing(self) -> str | None:
        """What it lacks here."""
        return None if shutil.which("buildah") else "buildah is not installed (Debian package buildah)."

    def version(self) -> str:
        """Of buildah."""
        printed = run(["buildah", "--version"], what="buildah").checked()
        return printed.strip().removeprefix("buildah version ")

    def build(self, request: BuildRequest, target: Layout, tell: Tell) -> BuiltImage:
        """Runs buildah; see the port for what it raises."""
        lacks = self.missing()
        if lacks is not None:
            raise builder_missing(self.name, lacks)
        check_base(request)
        if not runs(request.platform.architecture):
            raise wrong_platform("What this machine runs", own_architecture(), request.platform)
        refuse_commands(request.bento, self.name)
        check_pins(request.bento)
        seconds: dict[str, float] = {}
        context, made = request.scratch / "context", request.scratch / "made"
        try:
            with timed(seconds, "dependencies"), room_on_disk():
                _stage(request, fetch_wheels(request, tell), context)
            with timed(seconds, "buildah"):
                _run_buildah(request, context, made, tell)
            with timed(seconds, "copy"):
                image = _adopt(Layout.open(made), request, target)
        finally:
            shutil.rmtree(context, ignore_errors=True)
            shutil.rmtree(made, ignore_errors=True)
        return BuiltImage(
            image=target.put_manifest(image, platform=request.platform),
            layers=tuple(layers_of(target, image, name="other")),
            base=request.base.image.digest,
            builder=self.name,
            builder_version=self.version(),
            seconds=seconds,
        )


def _run_buildah(request: BuildRequest, context: Path, made: Path, tell: Tell) -> None:
    arguments = ["--layers", "--timestamp", "0", "--format", "oci", "--pull", "--tag", _NAME]
    arguments += ["--file", str(RECIPES / "Containerfile")]
    for name, value in sorted(labels_of(request).items()):
        arguments += ["--label", f"{name}={value}"]
    with PrivateStorage(request.scratch.resolve() / "storage", tell) as storage:
        base = f"BASE={storage.layout('base', request.base.layout.root)}:{TAG}"
        storage.run(
            "buildah", "build", *storage.policy, "--build-arg", base, *arguments, str(context.resolve())
        ).checked()
        made.mkdir()
        storage.run(
            "buildah", "push", *storage.policy, "--format", "oci", _NAME, f"{storage.layout('made', made)}:{_NAME}"
        ).checked()


def _stage(request: BuildRequest, wheels: Path, context: Path) -> None:
    """Makes the folder that ``Containerfile`` is built from."""
    import pip

    shutil.copytree(wheels, context / "wheels")
    tools = context / "tools"
    shutil.copytree(Path(pip.__file__).parent, tools / "pip", ignore=shutil.ignore_patterns("__pycache__"))
    for script in (RECIPES / "install.py", Path(bytecode.__file__), Path(tidying.__file__)):
        shutil.copy2(script, tools)
    shutil.copy2(request.bento / REQUIREMENTS, tools)
    for entry in request.manifest.files:
        place(request.bento, entry, context / layer_of(entry.path) / entry.path)
    for path in (context / name for name in OF_BENTO):
        path.mkdir(exist_ok=True)


def _adopt(made: Layout, request: BuildRequest, target: Layout) -> ImageManifest:
    """Copies what buildah made into ``target``, each layer with its name; returns the manifest.

    buildah compresses the base's layers again; they are the same uncompressed, so the base's own blobs stand for them.
    """
    entry = made.resolve(_NAME)
    if entry is None:
        raise tool_failed("buildah push", 0, "the layout it wrote holds no image")
    manifest = made.manifest(entry)
    known = {layer.diff_id: layer.blob for layer in copy_base(request, target)}
    names = ["base"] * (len(manifest.layers) - len(_NAMES)) + list(_NAMES)
    layers = []
    for name, layer in zip(names, layers_of(made, manifest, name="other"), strict=True):
        blob = known.get(layer.diff_id, layer.blob)
        if blob is layer.blob:
            copy_blob(blob, made, target)
        layers.append(blob.annotated(**{NAME_LABEL: name}))
    copy_blob(manifest.config, made, target)
    return ImageManifest(config=manifest.config.content, layers=tuple(layers), annotations=labels_of(request))
