# SPDX-License-Identifier: Apache-2.0
"""All that an image is: the documents below one descriptor, and the blobs they name. Within limits, whoever wrote it.

An index may name indexes, and a stranger's may name itself, or a thousand others: depth and number are limited, and each
content is looked at once.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from typing import Any, Final

from artifacts.digest import Digest
from artifacts.oci.descriptor import Descriptor, Platform
from artifacts.oci.documents import ImageIndex, ImageManifest, strict_json
from artifacts.oci.manifests import Fetched
from artifacts.oci.refusals import invalid_document, too_large
from core.errors import ErrorCode, NotFound

MAX_DEPTH: Final = 4  # of indexes in indexes
MAX_DOCUMENTS: Final = 1_000
MAX_TREE_BYTES: Final = 32 * 1024**2  # of all documents together, which are held in memory
MAX_IMAGE_BYTES: Final = 64 * 1024**3  # of all blobs together


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """An image, or several under one index."""

    documents: tuple[Fetched, ...]  # each after those it names; the root is the last
    blobs: tuple[Descriptor, ...]  # each content once

    @property
    def root(self) -> Descriptor:
        """What the tree was collected from."""
        return self.documents[-1].descriptor

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return sum(blob.size for blob in self.blobs)

    def without(self, digests: Collection[Digest]) -> Tree:
        """The same documents, without some of their blobs."""
        return replace(self, blobs=tuple(blob for blob in self.blobs if blob.digest not in digests))


async def collect(root: Fetched, fetch: Callable[[Descriptor], Awaitable[Fetched]]) -> Tree:
    """Reads every document below ``root``.

    Args:
        root: Where to begin.
        fetch: Reads a document, and checks that it has the digest of its descriptor.

    Raises:
        SignatureError: ``SIGN_010`` if a document is not of the type or size by which it is named.
        InvalidRequest: ``VALID_003`` if there are too many, too deep, or too many bytes in all blobs.
    """
    collecting = _Collecting(fetch)
    await collecting.below(root, depth=0)
    tree = Tree(documents=tuple(collecting.documents.values()), blobs=tuple(collecting.blobs.values()))
    if tree.size > MAX_IMAGE_BYTES:
        raise too_large(f"Image {root.descriptor.digest}", tree.size, MAX_IMAGE_BYTES)
    return tree


class _Collecting:
    def __init__(self, fetch: Callable[[Descriptor], Awaitable[Fetched]]) -> None:
        self.documents: dict[str, Fetched] = {}
        self.blobs: dict[str, Descriptor] = {}
        self._fetch = fetch
        self._size = 0

    async def below(self, document: Fetched, *, depth: int) -> None:
        """Adds what ``document`` names, then itself."""
        if depth > MAX_DEPTH:
            raise too_large("The depth of the image index", depth, MAX_DEPTH)
        self._size += len(document.data)
        if self._size > MAX_TREE_BYTES:
            raise too_large("Manifests and indexes of the image", self._size, MAX_TREE_BYTES)
        if isinstance(document.document, ImageManifest):
            self._add_blobs(document.document)
        else:
            for named in document.document.manifests:
                if named.digest not in self.documents:
                    await self.below(_as_named(await self._fetch(named), named), depth=depth + 1)
        self.documents[document.descriptor.digest] = document
        if len(self.documents) > MAX_DOCUMENTS:
            raise too_large("The number of documents of the image", len(self.documents), MAX_DOCUMENTS)

    def _add_blobs(self, manifest: ImageManifest) -> None:
        for blob in manifest.blobs:
            known = self.blobs.setdefault(blob.digest, blob)
            if known.size != blob.size:
                raise invalid_document(f"size of {blob.digest}", blob.size, f"{known.size}, as elsewhere in the image")


def of_platform(index: ImageIndex, platform: Platform) -> Descriptor:
    """The manifest for a platform. A variant that is not asked for is not looked at.

    Raises:
        NotFound: ``OCI_003`` if there is none; the message names those there are.
    """
    for entry in index.manifests:
        if entry.platform is not None and _runs_on(entry.platform, platform):
            return entry
    raise no_platform(platform, [str(entry.platform) for entry in index.manifests if entry.platform is not None])


def check_platform(configuration: bytes, platform: Platform) -> None:
    """Checks the platform in an image's configuration.

    Raises:
        NotFound: ``OCI_003`` if it is another.
        SignatureError: ``SIGN_010`` if the configuration is malformed.
    """
    read: Any = strict_json(configuration)
    if (
        not isinstance(read, dict)
        or not isinstance(read.get("architecture"), str)
        or not isinstance(read.get("os"), str)
    ):
        raise invalid_document("architecture and os", json.dumps(read)[:80], "both, in the image's configuration")
    variant = read.get("variant")
    found = Platform(
        architecture=read["architecture"], os=read["os"], variant=variant if isinstance(variant, str) else None
    )
    if not _runs_on(found, platform):
        raise no_platform(platform, [str(found)])


def no_platform(platform: Platform, found: list[str]) -> NotFound:
    """There is no image for that platform: ``OCI_003``."""
    return NotFound(
        ErrorCode.OCI_NOT_FOUND,
        f"The image is not made for {platform}; it is for {', '.join(map(ascii, found[:20])) or 'no platform'}.",
        details={"platform": str(platform), "found": found[:20]},
    )


def _runs_on(made_for: Platform, platform: Platform) -> bool:
    asked = platform if platform.variant is not None else replace(platform, variant=made_for.variant)
    return (made_for.os, made_for.architecture, made_for.variant) == (asked.os, asked.architecture, asked.variant)


def _as_named(fetched: Fetched, named: Descriptor) -> Fetched:
    found = fetched.descriptor
    if (found.media_type, found.size) != (named.media_type, named.size):
        raise invalid_document(
            f"what is at {named.digest}", f"{found.media_type}, {found.size} bytes", "what its index says"
        )
    return fetched
