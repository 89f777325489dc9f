# SPDX-License-Identifier: Apache-2.0
"""Copies whole images between layouts and registries: only blobs that are missing travel, several at a time.

An image becomes visible last: blobs, then manifests, each after those it names, then the tag. A copy that ends early has
changed nothing that anybody sees, and the next one goes on from there. What travelled is counted, repetitions included.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from artifacts.digest import Digest
from artifacts.oci.descriptor import Descriptor, Platform
from artifacts.oci.documents import ImageIndex, ImageManifest, parse_document
from artifacts.oci.layout import Layout
from artifacts.oci.manifests import Fetched
from artifacts.oci.registry import Repository
from artifacts.oci.trees import Tree, check_platform, collect, of_platform
from artifacts.oci.uploads import Upload, Way

PARALLEL: Final = 4  # blobs at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """How far one blob is."""

    digest: Digest
    there: int  # bytes
    size: int  # bytes


Progress: TypeAlias = Callable[[Moved], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What a copy did."""

    descriptor: Descriptor  # of the image
    size: int  # bytes of all its blobs
    sent: int  # bytes of blobs that travelled
    ways: Mapping[Digest, Way]  # of each blob


async def push(
    layout: Layout,
    image: Descriptor,
    repository: Repository,
    *,
    tag: str | None = None,
    mount_from: tuple[str, ...] = (),
    progress: Progress = lambda _: None,
) -> Copied:
    """Copies an image, or an index with all it names, from a layout to a registry.

    Args:
        layout: Where it is.
        image: Its manifest or index.
        repository: Where it goes.
        tag: Its name there, which moves to it; None: by digest only.
        mount_from: Repositories of the same registry that may have blobs of it.
        progress: Is told about each blob, now and then.

    Raises:
        NotFound: ``STORE_002`` if the layout lacks something.
        FuroshikiError: As :meth:`Layout.open_blob`, :func:`artifacts.oci.trees.collect` and
            :meth:`artifacts.oci.registry.Repository.push_blob`.
    """
    tree = await collect(await _read(layout, image), partial(_read, layout))

    async def send(blob: Descriptor) -> Upload:
        watch = partial(_watch, progress, blob)
        opened = partial(layout.open_blob, blob)
        return await repository.push_blob(blob, opened, mount_from=mount_from, watch=watch)

    done = await _several(tree.blobs, send)
    for document in tree.documents:
        name = tag if document.descriptor.digest == image.digest else None
        await repository.put_manifest(document.data, document.descriptor.media_type, tag=name)
    return _copied(tree, done)


async def pull(
    repository: Repository,
    reference: str,
    layout: Layout,
    *,
    tag: str | None = None,
    platform: Platform | None = None,
    progress: Progress = lambda _: None,
) -> Copied:
    """Copies an image from a registry to a layout.

    Args:
        repository: Where it is.
        reference: Its digest, or a tag, which is resolved once.
        layout: Where it goes.
        tag: Its name there; None: none.
        platform: Take the image for this one only; None: an index with all it names.
        progress: Is told about each blob, now and then.

    Raises:
        NotFound: ``OCI_003`` if it is not there, or not for that platform.
        SignatureError: ``SIGN_004`` or ``SIGN_010`` if it is not what its digests say.
        FuroshikiError: As :meth:`artifacts.oci.registry.Repository.pull_blob`.
    """
    root = await find(repository, reference, platform=platform)
    return await pull_found(repository, root, layout, tag=tag, progress=progress)


async def find(repository: Repository, reference: str, *, platform: Platform | None = None) -> Fetched:
    """What :func:`pull` would copy: its manifest or index. Arguments and errors are the same."""
    root = await repository.fetch(reference)
    return root if platform is None else await _for_platform(repository, root, platform)


async def pull_found(
    repository: Repository,
    root: Fetched,
    layout: Layout,
    *,
    tag: str | None = None,
    without: Collection[Digest] = (),
    progress: Progress = lambda _: None,
) -> Copied:
    """Goes on from :func:`find`, but leaves the blobs ``without`` out. Arguments and errors are those of :func:`pull`."""
    tree = (await collect(root, lambda named: repository.fetch(named.digest))).without(without)

    async def receive(blob: Descriptor) -> Upload:
        received = await repository.pull_blob(blob, layout, watch=partial(_watch, progress, blob))
        return Upload(way=Way.SENT if received or not blob.size else Way.PRESENT, sent=received)

    done = await _several(tree.blobs, receive)
    await asyncio.to_thread(_write, layout, tree, tag)
    return _copied(tree, done)


async def _for_platform(repository: Repository, root: Fetched, platform: Platform) -> Fetched:
    if isinstance(root.document, ImageIndex):
        root = await repository.fetch(of_platform(root.document, platform).digest)
    if isinstance(root.document, ImageManifest):
        check_platform(await repository.read_blob(root.document.config), platform)
    return root


async def _read(layout: Layout, descriptor: Descriptor) -> Fetched:
    data = await asyncio.to_thread(layout.read_blob, descriptor)
    return Fetched(descriptor=descriptor, data=data, document=parse_document(data, descriptor.media_type))


def _write(layout: Layout, tree: Tree, tag: str | None) -> None:
    for document in tree.documents:
        layout.put_blob([document.data], media_type=document.descriptor.media_type, expected=document.descriptor)
    layout.add(tree.root, tag=tag)


def _watch(progress: Progress, blob: Descriptor, there: int) -> None:
    progress(Moved(digest=blob.digest, there=there, size=blob.size))


def _copied(tree: Tree, done: Sequence[Upload]) -> Copied:
    ways = {blob.digest: upload.way for blob, upload in zip(tree.blobs, done, strict=True)}
    return Copied(descriptor=tree.root, size=tree.size, sent=sum(upload.sent for upload in done), ways=ways)


async def _several(blobs: Sequence[Descriptor], move: Callable[[Descriptor], Awaitable[Upload]]) -> list[Upload]:
    """Moves every blob; the first failure ends the others and is raised as it is."""
    limit = asyncio.Semaphore(PARALLEL)

    async def one(blob: Descriptor) -> Upload:
        async with limit:
            return await move(blob)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(blob)) for blob in blobs]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
