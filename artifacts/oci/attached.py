# SPDX-License-Identifier: Apache-2.0
"""Copies what is attached to an image between layouts and registries, after the image itself.

In a layout it is an entry of the index whose manifest names the image as its subject. What a registry lists is a stranger's:
how many things and how many bytes are taken is limited, and only what really names the image is.

Something attached may consist of a layer of the image, such as its model. Such a blob travels with the image alone: it is
neither counted nor taken here, and the layout has it once it has the image.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Final, TypeAlias

from artifacts.digest import Digest
from artifacts.oci.attach import fetch_attached, list_attached, referrers
from artifacts.oci.copying import Copied, pull_found
from artifacts.oci.documents import ImageManifest
from artifacts.oci.layout import Descriptor, Layout
from artifacts.oci.media import MANIFESTS
from artifacts.oci.refusals import too_large
from artifacts.oci.registry import Repository
from core.errors import SignatureError

MAX_ATTACHED: Final = 256  # of one image
MAX_ATTACHED_BYTES: Final = 256 * 1024 * 1024  # of all together

Blame: TypeAlias = Callable[[Descriptor, SignatureError], SignatureError]


async def push_attached(
    layout: Layout, subject: Digest, repository: Repository, *, known: Collection[Digest] = ()
) -> tuple[Copied, ...]:
    """Copies everything that a layout holds attached to a manifest to a registry that has the manifest.

    Args:
        layout: Where it is.
        subject: The manifest.
        repository: Where it goes.
        known: Blobs that the registry has, because the manifest consists of them.

    Returns:
        What was done for each.

    Raises:
        Conflict: ``OCI_005`` if other writers of the fallback tag do not let us.
        FuroshikiError: As :meth:`Layout.open_blob` and :class:`artifacts.oci.registry.Repository`.
    """
    listed = True
    done: list[Copied] = []
    for entry, manifest in await asyncio.to_thread(lambda: list(attached_in(layout, subject))):
        blobs = _others(manifest, known)
        uploads = [await repository.push_blob(blob, partial(layout.open_blob, blob)) for blob in blobs]
        stored = await repository.put_manifest(await asyncio.to_thread(layout.read_blob, entry), entry.media_type)
        listed = listed and stored.referrer
        done.append(
            Copied(
                descriptor=replace(stored.descriptor, artifact_type=manifest.kind, annotations=manifest.annotations),
                size=sum(blob.size for blob in blobs),
                sent=sum(upload.sent for upload in uploads),
                ways={blob.digest: upload.way for blob, upload in zip(blobs, uploads, strict=True)},
            )
        )
    if not listed:
        await list_attached(repository, subject, [copied.descriptor for copied in done])
    return tuple(done)


async def pull_attached(
    repository: Repository,
    subject: Digest,
    layout: Layout,
    *,
    known: Collection[Digest] = (),
    blame: Blame = lambda _entry, error: error,
) -> tuple[Copied, ...]:
    """Copies everything that a registry lists as attached to a manifest to a layout.

    Args:
        repository: Where it is.
        subject: The manifest.
        layout: Where it goes.
        known: Blobs that come with the manifest, because it consists of them.
        blame: Says what is raised if what an entry of the list names is not what its digest says.

    Returns:
        What was done for each.

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
        with _blamed(entry, blame):
            manifest = await fetch_attached(repository, entry, subject)
        size += sum(blob.size for blob in _others(manifest, known))
        if size > MAX_ATTACHED_BYTES:
            raise too_large(f"What is attached to {subject}", size, MAX_ATTACHED_BYTES)
    done: list[Copied] = []
    for entry in entries:
        with _blamed(entry, blame):
            found = await repository.fetch(entry.digest)
            done.append(await pull_found(repository, found, layout, without=known))
    return tuple(done)


@contextmanager
def _blamed(entry: Descriptor, blame: Blame) -> Iterator[None]:
    try:
        yield
    except SignatureError as error:
        raise blame(entry, error) from None


def _others(manifest: ImageManifest, known: Collection[Digest]) -> tuple[Descriptor, ...]:
    return tuple(blob for blob in manifest.blobs if blob.digest not in known)


def attached_in(layout: Layout, subject: Digest) -> Iterator[tuple[Descriptor, ImageManifest]]:
    """What a layout holds attached to a manifest: entries of its index, and their manifests.

    Raises:
        SignatureError: ``SIGN_004`` or ``SIGN_010`` if one cannot be read.
    """
    for entry in layout.index().manifests:
        if entry.media_type in MANIFESTS:
            manifest = layout.manifest(entry)
            if manifest.subject is not None and manifest.subject.digest == subject:
                yield entry, manifest
