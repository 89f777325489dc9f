# SPDX-License-Identifier: Apache-2.0
"""Images as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from artifacts.digest import Digest
from artifacts.oci.descriptor import Descriptor
from artifacts.oci.media import IMAGE_INDEX, IMAGE_MANIFEST
from core.errors import ErrorCode
from registry_api.builds.values import BuildState, state_of
from registry_api.jobs.interface import JobKind
from registry_api.products.kind import ProductKind
from registry_api.products.values import Product

IMAGE: Final = ProductKind(name="image", job=JobKind.IMAGE, unknown=ErrorCode.IMAGE_NOT_FOUND)


class BuilderName(StrEnum):
    """Which builder an image is asked of."""

    AUTO = "auto"  # whichever fits the Bento and the worker's machine; the image says which and why
    BUILDAH = "buildah"  # a container build, without a daemon
    LAYERS = "layers"  # written by Python alone; needs nothing, the same bytes every time
    BENTOML = "bentoml"  # BentoML's own, for Bentos that want commands run


class DeviceClass(StrEnum):
    """Which base image an image is built on: one for each recipe in ``deploy/images``."""

    CPU = "cpu"  # any server
    CUDA = "cuda"  # servers with a GPU of NVIDIA
    EDGE = "edge"  # small devices; LiteRT only


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageBlob:
    """One blob of an image, or of what is attached to it."""

    digest: Digest
    size: int  # bytes
    media_type: str
    layer: str | None = None  # name of the layer: "base", "dependencies", "model"; None: it is none
    cached: bool = False  # whether the layer was taken from an earlier build


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeImage:
    """A finished image: what it is, and the blobs of its OCI layout, which the tenant's blob store holds."""

    digest: Digest  # of the manifest
    size: int  # bytes of the manifest
    compressed_bytes: int  # of all layers
    base: Digest  # of the manifest of the image that was built upon
    builder: str
    builder_version: str
    reason: str  # why this builder
    platform: str  # "linux/amd64"
    key_id: str  # of the key that signed it
    blobs: tuple[ImageBlob, ...]  # layers lowest first, then the rest; one is the layout's index

    @property
    def descriptor(self) -> Descriptor:
        """Of the image's manifest."""
        return Descriptor(media_type=IMAGE_MANIFEST, digest=self.digest, size=self.size)

    @property
    def layers(self) -> tuple[ImageBlob, ...]:
        """The layers, lowest first."""
        return tuple(blob for blob in self.blobs if blob.layer is not None)

    @property
    def index(self) -> ImageBlob:
        """The layout's ``index.json``: names the image and what is attached to it."""
        return next(blob for blob in self.blobs if blob.media_type == IMAGE_INDEX)

    def blob(self, digest: Digest) -> ImageBlob | None:
        """The blob of that digest; None if the image has none."""
        return next((blob for blob in self.blobs if blob.digest == digest), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How an image is to be made."""

    builder: str = BuilderName.AUTO
    device: str = DeviceClass.CPU
    architecture: str = "amd64"  # in Go's names


@dataclass(frozen=True, slots=True, kw_only=True)
class Image(Product):
    """An image as stored; its source is the variant inside."""

    build_id: str  # of the Bento inside
    builder: str  # as asked for
    device: str
    architecture: str
    made: MadeImage | None  # None: not finished, or failed

    @property
    def state(self) -> BuildState:
        """Where it is: the state of its job, in the words of builds."""
        return state_of(self.job.state)
