# SPDX-License-Identifier: Apache-2.0
"""What an image job tells the child process that builds, and what that tells in return: two JSON files, no secrets.

The child gets no key: it builds, and leaves an image in a layout; the job describes and signs it
(:mod:`artifacts.supply.describing`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from artifacts.manifest import MANIFEST_NAME, Manifest
from artifacts.oci.layout import Descriptor, Layout, Platform
from artifacts.oci.media import IMAGE_MANIFEST
from registry_api.images.builders.bases.making import make_base, open_base
from registry_api.images.builders.bases.recipe import read_recipe
from registry_api.images.builders.choosing import choose
from registry_api.images.builders.interface import BuildRequest, BuiltImage, Tell


class ImageSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One image to make. Paths are absolute."""

    bento: str  # folder of the Bento, verified, with its manifest.json
    builder: str  # name of a builder, or "auto"
    device: str  # device class of the base image: "cpu", "cuda", "edge"
    base: str | None = None  # OCI layout of a base image made elsewhere; None: made from the recipe
    bases: str  # where base images are kept
    mirror: str | None = None  # of Debian, for a base that has to be made
    architecture: str = "amd64"
    labels: Mapping[str, str] = {}
    scratch: str  # private
    cache: str
    target: str  # where the layout with the image is written; new or empty
    memory_bytes: int | None = None  # address space of each process that builds; None: no limit


class ImageResult(msgspec.Struct, frozen=True, kw_only=True):
    """What it became."""

    digest: str  # of the image's manifest
    size: int  # bytes of that manifest
    base: str  # digest of the base image's manifest
    builder: str
    builder_version: str
    reason: str  # why this builder
    layers: tuple[Mapping[str, str | int | bool], ...]  # name, digest, size, plain size, cached
    seconds: Mapping[str, float]

    @property
    def image(self) -> Descriptor:
        """The image's descriptor."""
        return Descriptor(media_type=IMAGE_MANIFEST, digest=self.digest, size=self.size)


def build(spec: ImageSpec, tell: Tell) -> ImageResult:
    """Makes an image; raises what :meth:`registry_api.images.builders.interface.ImageBuilder.build` and the base do."""
    bento = Path(spec.bento)
    choice = choose(spec.builder, bento, architecture=spec.architecture)
    tell(f"builder {choice.builder.name}: {choice.reason}")
    base = (
        open_base(Path(spec.base))
        if spec.base is not None
        else make_base(
            read_recipe(spec.device), Path(spec.bases), architecture=spec.architecture, tell=tell, mirror=spec.mirror
        )
    )
    request = BuildRequest(
        bento=bento,
        manifest=Manifest.from_bytes((bento / MANIFEST_NAME).read_bytes()),
        base=base,
        platform=Platform(architecture=spec.architecture),
        labels=spec.labels,
        scratch=Path(spec.scratch),
        cache=Path(spec.cache),
    )
    return _result(choice.builder.build(request, Layout.create(Path(spec.target)), tell), choice.reason)


def _result(made: BuiltImage, reason: str) -> ImageResult:
    return ImageResult(
        digest=made.image.digest,
        size=made.image.size,
        base=made.base,
        builder=made.builder,
        builder_version=made.builder_version,
        reason=reason,
        layers=tuple(
            {
                "name": layer.name,
                "digest": layer.blob.digest,
                "size": layer.blob.size,
                "plain": layer.size,
                "cached": layer.cached,
            }
            for layer in made.layers
        ),
        seconds=made.seconds,
    )
