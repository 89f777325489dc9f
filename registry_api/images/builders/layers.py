# SPDX-License-Identifier: Apache-2.0
"""The builder ``layers``: an image written by Python alone. No daemon, no root, no container; it runs nothing of the Bento.

base            of the device class
dependencies    the pinned packages
code            of Furoshiki
release         what of the Bento differs between versions, but for the model
model           the signed bundle, alone: the next version of a model is a new layer of its size and a few kilobytes

Law: the same Bento on the same base gives the same digest, with and without the cache, on any machine (with Python 3.11 and
the same zlib).
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from artifacts.oci.layout import Layout
from artifacts.supply.modelpack import MODEL_LAYER
from registry_api.images.builders.bento import layer_of, refuse_commands
from registry_api.images.builders.configuration import layers_of, platform_of, put_image
from registry_api.images.builders.dependencies import copy_blob, dependency_layer
from registry_api.images.builders.interface import (
    BENTO_PATH,
    BuildRequest,
    BuiltImage,
    BuiltLayer,
    Tell,
    wrong_platform,
)
from registry_api.images.builders.layer import Entry, write_layer
from registry_api.images.builders.pins import check_pins

OF_BENTO: Final = ("code", "release", MODEL_LAYER)


class LayersBuilder:
    """Implements :class:`registry_api.images.builders.interface.ImageBuilder`."""

    name: Final = "layers"

    def missing(self) -> str | None:
        """Nothing, ever: it is made of Python."""
        return None

    def version(self) -> str:
        """What decides its bytes."""
        return f"1 (zlib {zlib.ZLIB_RUNTIME_VERSION})"

    def build(self, request: BuildRequest, target: Layout, tell: Tell) -> BuiltImage:
        """Writes the image; see the port for what it raises."""
        check_base(request)
        refuse_commands(request.bento, self.name)
        check_pins(request.bento)
        seconds: dict[str, float] = {}
        with timed(seconds, "base"):
            layers = copy_base(request, target)
        with timed(seconds, "dependencies"):
            layers.append(dependency_layer(request, target, tell))
        with timed(seconds, "bento"):
            layers += [write_layer(target, name, _entries(request, name)) for name in OF_BENTO]
        manifest = put_image(request, layers, target)
        return BuiltImage(
            image=target.put_manifest(manifest, platform=request.platform),
            layers=tuple(layers),
            base=request.base.image.digest,
            builder=self.name,
            builder_version=self.version(),
            seconds=seconds,
        )


def check_base(request: BuildRequest) -> None:
    """Checks that the base image is for the image's platform.

    Raises:
        InvalidRequest: ``IMAGE_003`` if it is not.
    """
    found = platform_of(request.base)
    if (found.os, found.architecture) != (request.platform.os, request.platform.architecture):
        raise wrong_platform("The base image", found, request.platform)


def copy_base(request: BuildRequest, target: Layout) -> list[BuiltLayer]:
    """Copies the layers of the base image into ``target``, checked against their digests."""
    source = request.base.layout
    copied = []
    for layer in layers_of(source, source.manifest(request.base.image), name="base"):
        copy_blob(layer.blob, source, target)
        copied.append(layer)
    return copied


@contextmanager
def timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    """Notes how long a step took."""
    started = time.monotonic()
    yield
    seconds[step] = round(time.monotonic() - started, 3)


def _entries(request: BuildRequest, layer: str) -> Iterator[Entry]:
    for entry in request.manifest.files:
        if layer_of(entry.path) == layer:
            path = request.bento / entry.path
            yield Entry(path=f"{BENTO_PATH}/{entry.path}", content=path, digest=entry.digest)
