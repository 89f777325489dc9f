# SPDX-License-Identifier: Apache-2.0
"""Tags that several writers add to: the referrers fallback tag, and cosign's tags.

Registries cannot compare and set. So a writer reads, adds, looks again right before it writes, writes, waits a few times as
long as that took, and looks whether what it added is there; until it is. Tasks of one client take turns. Two processes lose
an addition only if one stalls, between its last look and its write, for longer than the other waits. The distribution
specification v1.1 accepts more than that ("Pushing manifests with subject").
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from artifacts.digest import digest_bytes
from artifacts.oci.descriptor import Descriptor
from artifacts.oci.documents import Document, encode_document
from artifacts.oci.manifests import Fetched
from artifacts.oci.registry import Repository
from core.errors import Conflict, ErrorCode, NotFound

ROUNDS: Final = 30
_MOMENT_S: Final = 0.1  # the shortest wait before the look that ends it; three times that is the longest
_SLOWER: Final = 2  # where reading and writing takes long, a moment is that many times as long


async def merge(repository: Repository, tag: str, change: Callable[[Document | None], Document | None]) -> Descriptor:
    """Changes what a tag names.

    Args:
        repository: Where.
        tag: Which.
        change: Makes the new document of the present one (None: there is none); None if nothing is left to add.

    Returns:
        What the tag names now.

    Raises:
        Conflict: ``OCI_005`` if others moved the tag ``ROUNDS`` times.
    """
    connection = repository.connection
    conflict: Conflict | None = None
    async with connection.turns[f"{repository.name}:{tag}"]:
        for _ in range(ROUNDS):
            began = connection.clock.monotonic()
            present = await _present(repository, tag)
            changed = change(None if present is None else present.document)
            if changed is None and present is not None:
                return present.descriptor
            if changed is not None:
                conflict = await _write(repository, tag, changed, present) or conflict
            moment = max(_MOMENT_S, _SLOWER * (connection.clock.monotonic() - began))
            await connection.patience.pause(random.uniform(moment, 3 * moment))  # noqa: S311 - spreads, guards nothing
    raise conflict or Conflict(
        ErrorCode.OCI_TAG_MOVED, f"Tag {tag} of {repository.name} is moved all the time.", details={"tag": tag}
    )


async def _present(repository: Repository, tag: str) -> Fetched | None:
    try:
        return await repository.fetch(tag)
    except NotFound:
        return None


async def _write(repository: Repository, tag: str, document: Document, present: Fetched | None) -> Conflict | None:
    data = encode_document(document)
    descriptor = Descriptor(media_type=document.media_type, digest=digest_bytes(data), size=len(data))
    expected = None if present is None else present.descriptor.digest
    try:
        await repository.move_tag(tag, Fetched(descriptor=descriptor, data=data, document=document), expected=expected)
    except Conflict as conflict:
        return conflict
    return None
