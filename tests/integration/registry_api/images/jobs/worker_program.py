# SPDX-License-Identifier: Apache-2.0
"""A worker for image jobs that stops dead at a chosen moment: ``python worker_program.py HOME ROOT MOMENT``.

It says ``here`` then, and waits to be killed.

fetching   at the first bytes of the Bento
building   while the child is at work
storing    between two blobs of the image
ending     in the transaction that is to end the job
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from artifacts.digest import Digest
from artifacts.stores.interface import BlobStore
from registry_api.bootstrap.platform import open_platform
from registry_api.images.child import PROGRAM
from registry_api.settings.registry import Settings
from tests.integration.registry_api.images.jobs.works import worker_of

BUILDING = (sys.executable, "-c", "import time; print('at work', flush=True); time.sleep(600)")
PUT_BEFORE = 2  # of what an image of the same Bento has new: two blobs of its provenance, and the index


async def halt() -> None:
    """Says so, and waits for ever."""
    print("here", flush=True)
    await asyncio.Event().wait()


@dataclass(kw_only=True)
class HaltingStore:
    """A :class:`BlobStore` that never answers once the moment has come."""

    store: BlobStore
    moment: str
    puts: int = 0
    looked: set[Digest] = field(default_factory=set)

    async def put(self, tenant: str, chunks: AsyncIterator[bytes], *, digest: Digest, size: int) -> None:
        self.puts += 1
        if self.moment == "storing" and self.puts == PUT_BEFORE:
            await halt()
        await self.store.put(tenant, chunks, digest=digest, size=size)

    async def read(self, tenant: str, digest: Digest, *, limit: int) -> bytes:
        return await self.store.read(tenant, digest, limit=limit)

    async def stream(self, tenant: str, digest: Digest, *, start: int = 0) -> AsyncIterator[bytes]:
        if self.moment == "fetching":
            await halt()
        async for chunk in self.store.stream(tenant, digest, start=start):
            yield chunk

    async def lend(self, tenant: str, digest: Digest, path: Path) -> bool:
        return await self.store.lend(tenant, digest, path)

    async def size(self, tenant: str, digest: Digest) -> int | None:
        found = await self.store.size(tenant, digest)
        if self.moment == "ending" and digest in self.looked:  # once before it is stored, once when the job ends
            await halt()
        self.looked.add(digest)
        return found

    async def delete(self, tenant: str, digest: Digest) -> None:
        await self.store.delete(tenant, digest)


async def main(home: Path, root: Path, moment: str) -> None:
    """Works until it is killed."""
    async with open_platform(Settings(home=home)) as platform:
        store = HaltingStore(store=platform.store, moment=moment)
        await worker_of(platform, root, store=store, program=BUILDING if moment == "building" else PROGRAM).run()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
