# SPDX-License-Identifier: Apache-2.0
"""Copies what is attached to an image between layouts and registries, after the image itself.

In a layout it is an entry of the index whose manifest names the image as its subject. What a registry lists is a stranger's:
how many things and how many bytes are taken is limited, and only what really names the image is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Final

from artifacts.digest import Digest
from artifacts.oci.attach import fetch_attached, list_attached, referrers
from artifacts.oci.copying import pull
from artifacts.oci.documents import ImageManifest
from artifacts.oci.layout import Descriptor, Layout
from artifacts.oci.media import MANIFESTS
from artifacts.oci.refusals import too_large
from artifacts.oci.registry import Repository

MAX_ATTACHED: Final = 256  # of one image
MAX_ATTACHED_BYTES: Final = 256 * 1024 * 1024  # of all together


async def push_attached(layout: Layout, subject: Digest, repository: Repository) -> tuple[Descriptor, ...]:
    """Copies everything that a layout holds attached to a manifest to a registry that has the manifest.

    Returns:
        The descriptor of each.

    Raises:
        Conflict: ``OCI_005`` if other writers of the fallback tag do not let us.
        FuroshikiError: As :meth:`Layout.open_blob` and :class:`artifacts.oci.registry.Repository`.
    """
    listed = True
    described: list[Descriptor] = []
    for entry, manifest in await asyncio.to_thread(lambda: list(_in_layout(layout, subject))):
        for blob in manifest.blobs:
            await repository.push_blob(blob, partial(layout.open_blob, blob))
        stored = await repository.put_manifest(await asyncio.to_thread(layout.read_blob, entry), entry.media_type)
        listed = listed and stored.referrer
        described.append(replace(stored.descriptor, artifact_type=manifest.kind, annotations=manifest.annotations))
    if not listed:
        await list_attached(repository, subject, described)
    return tuple(described)


async def pull_attached(repository: Repository, subject: Digest, layout: Layout) -> tuple[Descriptor, ...]:
    """Copies everything that a registry lists as attached to a manifest to a layout.

    Returns:
        The descriptor of each.

    Raises:
        InvalidRequest: ``VALID_003`` if it is too much.
        SignatureError: ``SIGN_011`` if something is attached to something else, ``SIGN_004`` or ``SIGN_010``.
        FuroshikiError: As :class:`artifacts.oci.registry.Repository`.
    """
    entries = await referrers(repository, subject)
    if len(entries) > MAX_ATTACHED:
        raise too_large(f"The list of what is attached to {subject}", len(entries), MAX_ATTACHED)
    size = 0
    for entry in entries:
        manifest = await fetch_attached(repository, entry, subject)
        size += sum(blob.size for blob in manifest.blobs)
        if size > MAX_ATTACHED_BYTES:
            raise too_large(f"What is attached to {subject}", size, MAX_ATTACHED_BYTES)
    return tuple([(await pull(repository, entry.digest, layout)).descriptor for entry in entries])


def _in_layout(layout: Layout, subject: Digest) -> Iterator[tuple[Descriptor, ImageManifest]]:
    for entry in layout.index().manifests:
        if entry.media_type in MANIFESTS:
            manifest = layout.manifest(entry)
            if manifest.subject is not None and manifest.subject.digest == subject:
                yield entry, manifest
