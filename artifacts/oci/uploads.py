# SPDX-License-Identifier: Apache-2.0
"""Sends one blob to a registry: not at all if it is there, by a mount if a neighbour has it, else in resumable chunks.

Follows the distribution specification v1.1, "Pushing blobs".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO
from urllib.parse import quote

from artifacts.oci.answers import Answer, refusal
from artifacts.oci.connection import Ask, Connection
from artifacts.oci.descriptor import Descriptor
from artifacts.oci.sending import Sending, Watch, blob_path, pushing
from core.errors import ImageRegistryError, NotFound, Unavailable


class Way(StrEnum):
    """How a blob came to a registry; the comment on each line says what travelled."""

    PRESENT = "present"  # nothing: it was there
    MOUNTED = "mounted"  # nothing: another repository of the registry had it
    SENT = "sent"  # its bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What was done for one blob."""

    way: Way
    sent: int  # bytes, those that had to be sent again included


async def blob_size(connection: Connection, repository: str, digest: str) -> int | None:
    """Bytes of a blob in a registry; None if it is not there.

    Raises:
        ImageRegistryError: ``OCI_002`` or ``OCI_004``; the latter also if the registry does not say how many.
        Unavailable: ``OCI_001`` if patience ended.
    """
    ask = Ask(
        method="HEAD", url=blob_path(repository, digest), what=f"look for blob {digest}", scope=pushing(repository)
    )
    answer = await connection.ask(ask, 200, 404)
    length = answer.headers.get("content-length", "")
    if answer.status == 200 and not (length.isdecimal() and len(length) < 17):
        raise refusal(answer, host=connection.host, what=ask.what)
    return None if answer.status == 404 else int(length)


async def upload(
    connection: Connection,
    repository: str,
    descriptor: Descriptor,
    opened: Callable[[], BinaryIO],
    *,
    mount_from: tuple[str, ...] = (),
    watch: Watch = lambda _: None,
) -> Upload:
    """Brings a blob into a repository.

    Args:
        connection: To the registry.
        repository: Of the registry.
        descriptor: Of the blob.
        opened: Opens its bytes, already checked, in a file that can be sought in; called only if they have to travel.
        mount_from: Repositories of the same registry that may have it, tried in order.
        watch: Is told how many bytes of it are there.

    Raises:
        Unavailable: ``OCI_001`` if patience ended.
        ImageRegistryError: ``OCI_002`` or ``OCI_004``.
        SignatureError: ``SIGN_004`` if the registry, having all bytes, says that they are others.
    """
    if await blob_size(connection, repository, descriptor.digest) is not None:
        watch(descriptor.size)
        return Upload(way=Way.PRESENT, sent=0)
    for source in mount_from:
        if source != repository and await _mounted(connection, repository, descriptor, source):
            watch(descriptor.size)
            return Upload(way=Way.MOUNTED, sent=0)
    with await asyncio.to_thread(opened) as file:
        sending = Sending(connection, repository, descriptor, file, watch)
        await sending.run()
    return Upload(way=Way.SENT, sent=sending.sent)


async def _mounted(connection: Connection, repository: str, descriptor: Descriptor, source: str) -> bool:
    ask = Ask(
        method="POST",
        url=f"/v2/{repository}/blobs/uploads/?mount={quote(descriptor.digest)}&from={quote(source, safe='')}",
        what=f"mount blob {descriptor.digest} from {source}",
        scope=f"{pushing(repository)} repository:{source}:pull",
        headers={"content-length": "0"},
    )
    try:
        answer = await connection.ask(ask, 201, 202)
    except (ImageRegistryError, NotFound):  # not allowed to read there, or no mounts: then the bytes travel
        return False
    if answer.status == 202:  # an upload was opened instead, and is not wanted
        await _given_up(connection, repository, answer)
    return answer.status == 201


async def _given_up(connection: Connection, repository: str, answer: Answer) -> None:
    location = connection.absolute(answer.headers.get("location", ""), what="mount a blob")
    ask = Ask(method="DELETE", url=location, what="end an upload", scope=pushing(repository))
    try:
        await connection.ask_once(ask, 200, 202, 204, 404, 405)
    except (Unavailable, ImageRegistryError):
        return  # registries end forgotten uploads themselves
