# SPDX-License-Identifier: Apache-2.0
"""What the handlers of all jobs that make products have: where they work, and how an attempt begins and ends.

Guarantees. A job works in a folder of its own, which is gone when the attempt ends, or when the next one begins. The keys
answer off the event loop. That what was stored is still there is checked in the transaction that ends the job, under the lock
that removals hold. Whoever waits for a product is told that it will never be.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from artifacts.digest import Digest
from artifacts.keys.interface import KeyProvider
from artifacts.signing.interface import Signer
from artifacts.signing.policy import TrustPolicy
from artifacts.stores.interface import BlobStore
from core.clock import Clock
from registry_api.db.session import Database, Session
from registry_api.jobs.interface import Apply, Fault, Job, JobKind, JobTask, Outcome
from registry_api.jobs.scratch import Release, leave, scratch_of, sweep_scratch
from registry_api.models.source import Source
from registry_api.models.transfer import check_stored
from registry_api.products.events import failure_teller
from registry_api.products.kind import ProductKind
from registry_api.tenancy.repository import lock_tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What jobs work with."""

    db: Database  # where products are
    store: BlobStore  # where variants are read and products are stored
    keys: KeyProvider  # signs products and tells whom a tenant trusts
    clock: Clock  # for times of what is signed and of validity


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkOptions:
    """Where jobs of one kind work and how long. Subclasses add what else they may use."""

    scratch: Path  # private; what an attempt works on lives below it
    timeout_seconds: float  # of a whole job


T = TypeVar("T", bound=WorkOptions)


class ProductHandler(ABC, Generic[T]):
    """Runs the jobs that make one kind of product; a slice says how.

    Args:
        tools: What it works with.
        options: Folders and limits.
        release: Is called before a folder of an attempt is removed.
    """

    product: ClassVar[ProductKind]

    def __init__(self, tools: Tools, *, options: T, release: Release = leave) -> None:
        self._db = tools.db
        self._store = tools.store
        self._keys = tools.keys
        self._clock = tools.clock
        self._options = options
        self._release = release
        self.timeout = options.timeout_seconds

    @property
    def kind(self) -> JobKind:
        """The kind it runs."""
        return self.product.job

    @abstractmethod
    async def run(self, task: JobTask) -> Outcome:
        """Makes the product."""

    async def abandon(self, job: Job, fault: Fault) -> Apply | None:
        """Removes what attempts left on this machine. The product's row needs nothing: its state is its job's."""
        await asyncio.to_thread(sweep_scratch, job, self._options.scratch, release=self._release)
        return failure_teller(self.product, job, fault)

    def _scratch(self, job: Job) -> AbstractContextManager[Path]:
        """A new folder for one attempt; removed at the end. Blocks."""
        return scratch_of(job, self._options.scratch, release=self._release)

    async def _policy(self, tenant: str) -> TrustPolicy:
        """Whom the tenant trusts now."""
        return await asyncio.to_thread(self._keys.policy, tenant)

    async def _signer(self, tenant: str) -> Signer:
        """Signs for the tenant."""
        return await asyncio.to_thread(self._keys.signer, tenant)

    async def _check_stored(self, session: Session, source: Source, blobs: Iterable[Digest]) -> None:
        """Locks the tenant until the transaction ends, and asks the store for what the job put there.

        Raises:
            StoreError: ``STORE_003`` if some of it was removed meanwhile.
        """
        await lock_tenant(session, source.tenant)
        await check_stored(self._store, source.tenant, blobs, maker=self.product.name)
