# SPDX-License-Identifier: Apache-2.0
"""The port of whoever turns a Bento into an image.

Rules. A builder gets a Bento whose files were verified and a base image by digest; it adds nothing to the image that is
not in one of the two or pinned by the Bento's requirements. It needs no secret and is given none. The result is an image in
an OCI layout, so nothing has to be pushed anywhere to be looked at. Builders block and may take minutes: they run in a child
process (``python -m registry_api.images.builders``), which is ended as a whole when its job is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from artifacts.digest import Digest
from artifacts.manifest import Manifest
from artifacts.oci.layout import Descriptor, Layout, Platform
from artifacts.supply.contents import BENTO_PATH
from core.errors import ErrorCode, InvalidRequest, Unavailable

__all__ = [
    "BENTO_PATH",
    "Base",
    "BuildRequest",
    "BuiltImage",
    "BuiltLayer",
    "ImageBuilder",
    "Tell",
    "builder_missing",
    "wrong_platform",
]

USER: Final = 65532
"""User and group of the process in every image, known as ``nonroot``."""
Tell: TypeAlias = Callable[[str], None]  # gets a line for the job's log


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The image that is built upon."""

    layout: Layout
    image: Descriptor  # of its manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """One image to make."""

    bento: Path  # folder with the files of the Bento, each as in ``manifest``
    manifest: Manifest  # of the Bento, verified
    base: Base
    platform: Platform
    labels: Mapping[str, str] = field(default_factory=dict)  # more labels of the image
    scratch: Path  # private folder for work; the caller removes it
    cache: Path  # folder that is kept between builds


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltLayer:
    """One layer of a built image."""

    name: str  # "base", "dependencies", "code", "release", "model"; what a foreign builder made is "other"
    blob: Descriptor  # compressed
    size: int  # bytes of the uncompressed tar; 0: not known
    diff_id: str  # digest of the uncompressed tar
    cached: bool = False  # taken from an earlier build


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltImage:
    """What a builder made."""

    image: Descriptor  # of the manifest
    layers: tuple[BuiltLayer, ...]  # lowest first
    base: Digest  # of the manifest of the image that was built upon
    builder: str
    builder_version: str
    seconds: Mapping[str, float]  # by step

    @property
    def size(self) -> int:
        """Bytes of all compressed layers."""
        return sum(layer.blob.size for layer in self.layers)


class ImageBuilder(Protocol):
    """Makes images."""

    @property
    def name(self) -> str:
        """What settings, logs and provenance call it."""
        ...

    def missing(self) -> str | None:
        """What it lacks on this machine, in a sentence; None if it can work. Cheap."""
        ...

    def version(self) -> str:
        """Of the builder, for the provenance of what it makes."""
        ...

    def build(self, request: BuildRequest, target: Layout, tell: Tell) -> BuiltImage:
        """Makes the image in ``target``.

        Raises:
            Unavailable: ``IMAGE_001`` if it cannot work here, ``STORE_004`` if the disk is full.
            InvalidRequest: ``IMAGE_003`` if base and platform do not fit, ``IMAGE_004`` if the Bento wants commands that this
                builder does not run.
            SignatureError: ``SIGN_004`` if a file is no longer the verified one, ``SIGN_010`` if a list in it is none.
            JobError: ``JOB_002`` if a tool it uses fails; its last lines are in the message.
        """
        ...


def builder_missing(name: str, lacks: str) -> Unavailable:
    """A builder that was asked for cannot work here: ``IMAGE_001``."""
    return Unavailable(
        ErrorCode.IMAGE_BUILDER_MISSING,
        f"The image builder {name!r} cannot work on this machine: {lacks} Choose 'auto' or 'layers', or install it.",
        details={"builder": name},
    )


def wrong_platform(what: str, got: object, expected: object) -> InvalidRequest:
    """Something is for another machine than the image: ``IMAGE_003``."""
    return InvalidRequest(
        ErrorCode.IMAGE_PLATFORM,
        f"{what} is for {got}; the image is for {expected}. Choose a base image and a variant of one platform.",
        details={"got": str(got), "expected": str(expected)},
    )
