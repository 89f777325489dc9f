# SPDX-License-Identifier: Apache-2.0
"""The work of a tune job: fetch and verify the variant, have a child process measure it, sign what it found.

Guarantees. Only what the tenant signed is measured. The child ran a tenant's model, so its answer is read as strictly as
anybody's: it can be wrong about speed and about nothing else. The tuning's row learns of the result in the transaction that
ends the job.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from artifacts.keys.interface import KeyProvider
from artifacts.stores.interface import BlobStore
from artifacts.tuning import Tuning, sign_tuning
from core.clock import Clock
from registry_api.db.session import Database, Session
from registry_api.jobs.interface import Apply, Fault, Job, JobKind, JobTask, Outcome
from registry_api.jobs.scratch import scratch_of, sweep_scratch
from registry_api.models.bundle import stage_bundle
from registry_api.models.source import Source
from registry_api.tunings.child import Measure, MeasureLimits, measure_in_child
from registry_api.tunings.repository import TuningRepository
from registry_api.tunings.values import TUNING, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneOptions:
    """Where tunings work and what they may use."""

    scratch: Path  # private; bundles live below it while they are measured
    limits: MeasureLimits
    timeout_seconds: float = 600.0  # of a whole job, the wait for other tunings of this machine included


class TuneHandler:
    """Runs tune jobs.

    Args:
        db: Where tunings are.
        store: Where variants are read.
        keys: Signs tunings and tells whom a tenant trusts.
        clock: For the validity of signatures.
        options: Folders and limits.
        measure: Runs the child; another one in tests of the handler itself.
    """

    kind = JobKind.TUNE

    def __init__(
        self,
        db: Database,
        store: BlobStore,
        keys: KeyProvider,
        clock: Clock,
        *,
        options: TuneOptions,
        measure: Measure = measure_in_child,
    ) -> None:
        self._db = db
        self._store = store
        self._keys = keys
        self._clock = clock
        self._options = options
        self.timeout = options.timeout_seconds
        self._measure = measure

    async def run(self, task: JobTask) -> Outcome:
        """Measures and signs.

        Raises:
            SignatureError: A ``SIGN_*`` code: the variant does not verify.
            JobError: ``JOB_002`` if it cannot be measured.
        """
        tuning_id = TUNING.id_in(task.job)
        source = await self._source(task.job.tenant, tuning_id)
        with scratch_of(task.job, self._options.scratch) as scratch:
            task.progress(0.02, "verifying the model")
            policy = await asyncio.to_thread(self._keys.policy, source.tenant)
            await stage_bundle(self._store, policy, self._clock, source, scratch=scratch, task=task)
            tuning = await self._measure(source, scratch, self._options.limits, task)
        result = await self._signed(source, tuning)
        chosen = tuning.chosen
        task.log(
            f"chose {chosen.instances} instances x {chosen.threads} threads, batches of {chosen.max_rows or 1} rows"
        )

        async def apply(session: Session) -> None:
            await TuningRepository(session, source.tenant).finish(tuning_id, result)

        told = {"instances": chosen.instances, "threads": chosen.threads, "max_rows": chosen.max_rows}
        return Outcome(result={"tuning": tuning_id, **told}, apply=apply)

    async def abandon(self, job: Job, _fault: Fault) -> Apply | None:
        """Removes what attempts left on this machine. The tuning's row needs nothing: its state is its job's."""
        await asyncio.to_thread(sweep_scratch, job, self._options.scratch)
        return None

    async def _source(self, tenant: str, tuning_id: str) -> Source:
        async with self._db.read(tenant) as session:
            return (await TuningRepository(session, tenant).get(tuning_id)).source

    async def _signed(self, source: Source, tuning: Tuning) -> Result:
        signer = await asyncio.to_thread(self._keys.signer, source.tenant)
        document = sign_tuning(tuning, variant=f"{source.ref} {source.variant}", digest=source.digest, signer=signer)
        return Result(tuning=tuning, document=document, key_id=signer.key_id)
