# SPDX-License-Identifier: Apache-2.0
"""An image with everything attached to it, as one: from a layout to a registry and back.

A tag moves to an image only when what is attached to it is there, so whoever pulls by tag finds a signed image. A tag is
resolved once; whatever it names afterwards, the rest goes by digest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from artifacts.oci.attached import Blame, pull_attached, push_attached
from artifacts.oci.copying import Copied, Progress, find, pull_found, push
from artifacts.oci.cosign import tag_signatures
from artifacts.oci.entries import name_of
from artifacts.oci.layout import Descriptor, ImageManifest, Layout, Platform
from artifacts.oci.media import MANIFESTS
from artifacts.oci.reference import Reference
from artifacts.oci.registry import Repository
from core.errors import ErrorCode, InvalidRequest, NotFound

NAME: Final = "image"  # of what was pulled last, in the layout's index: for tools that ask for a name


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """What was done for an image and for what is attached to it."""

    image: Copied
    attached: tuple[Copied, ...]

    @property
    def sent(self) -> int:
        """Bytes of blobs that travelled."""
        return self.image.sent + sum(copied.sent for copied in self.attached)

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return self.image.size + sum(copied.size for copied in self.attached)

    @property
    def skipped(self) -> int:
        """Bytes of blobs that did not have to travel."""
        return max(0, self.size - self.sent)


def image_in(layout: Layout, wanted: str | None = None) -> Descriptor:
    """The image of a layout.

    Args:
        layout: Holds it, and perhaps what is attached to it.
        wanted: Its name or digest; None: the only one there is, if nothing else in the layout has a name.

    Raises:
        NotFound: ``STORE_002`` if there is none of that name or digest.
        InvalidRequest: ``VALID_002`` if there are several, or none, to choose from.
        FuroshikiError: As :meth:`Layout.index`.
    """
    listed = layout.index().manifests
    entries = {entry.digest: entry for entry in listed}
    if wanted is not None:
        found = entries.get(wanted) or layout.resolve(wanted)
        if found is None:
            raise NotFound(ErrorCode.BLOB_NOT_FOUND, f"The layout holds no image {wanted[:120]!a}.")
        return found
    images = [entry for entry in entries.values() if entry.artifact_type is None]
    if len(images) > 1:  # who wrote the index did not say which are attached to others
        images = [entry for entry in images if entry.media_type not in MANIFESTS or _stands_alone(layout, entry)]
    if len(images) != 1:
        raise InvalidRequest(
            ErrorCode.INVALID_FIELD,
            f"The layout holds {len(images)} images; expected one, or the name or digest of one of them.",
            details={"field": "image"},
        )
    misnamed = [entry for entry in listed if name_of(entry) and entry.digest != images[0].digest]
    if misnamed:  # other tools would take that one
        raise InvalidRequest(
            ErrorCode.INVALID_FIELD,
            f"The layout names {name_of(misnamed[0])!a} what is not its image. Give the name or digest of the one you mean.",
            details={"field": "image"},
        )
    return images[0]


async def push_whole(
    layout: Layout,
    image: Descriptor,
    repository: Repository,
    *,
    tag: str | None = None,
    mount_from: tuple[str, ...] = (),
    progress: Progress = lambda _: None,
) -> Shipped:
    """Copies an image and what is attached to it to a registry; what is signed for cosign goes under its tag too.

    As :func:`artifacts.oci.copying.push`.
    """
    copied = await push(layout, image, repository, mount_from=mount_from, progress=progress)
    attached = await push_attached(layout, image.digest, repository, known=copied.ways.keys())
    await tag_signatures(layout, image.digest, repository)
    if tag is not None:
        data = await asyncio.to_thread(layout.read_blob, image)
        await repository.put_manifest(data, image.media_type, tag=tag)
    return Shipped(image=copied, attached=attached)


async def pull_whole(
    repository: Repository,
    reference: Reference,
    layout: Layout,
    *,
    platform: Platform | None = None,
    progress: Progress = lambda _: None,
    blame: Blame = lambda _entry, error: error,
    accept: Callable[[Descriptor], None] = lambda _: None,
) -> Shipped:
    """Copies an image and what is attached to it to a layout, where it gets the name ``image``.

    What is attached comes first, so that its signature can be looked at before the image, which may be large, is taken.

    Args:
        repository: Where it is.
        reference: Its digest, or its tag if it has none. Which image a reference with neither means is not guessed.
        layout: Where it goes.
        platform: As for :func:`artifacts.oci.copying.pull`, as are ``progress`` and what is raised.
        progress: Is told about each blob.
        blame: As for :func:`artifacts.oci.attached.pull_attached`.
        accept: Is given the image's descriptor once all that is attached to it is there; what it raises ends the pull.
    """
    root = await find(repository, named_in(reference), platform=platform)
    known = {blob.digest for blob in root.document.blobs} if isinstance(root.document, ImageManifest) else ()
    attached = await pull_attached(repository, root.descriptor.digest, layout, known=known, blame=blame)
    await asyncio.to_thread(accept, root.descriptor)
    copied = await pull_found(repository, root, layout, tag=NAME, progress=progress)
    return Shipped(image=copied, attached=attached)


def named_in(reference: Reference) -> str:
    """The digest of a reference, or its tag if it has none.

    Raises:
        InvalidRequest: ``VALID_002`` if it has neither.
    """
    named = reference.digest or reference.tag
    if named is None:
        raise InvalidRequest(
            ErrorCode.INVALID_FIELD,
            f"The reference {str(reference)!a} names no image; expected a tag or a digest behind it.",
            details={"field": "reference"},
        )
    return named


def _stands_alone(layout: Layout, entry: Descriptor) -> bool:
    return layout.manifest(entry).subject is None
