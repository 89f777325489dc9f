# SPDX-License-Identifier: Apache-2.0
"""The work of a tune job: fetch and verify the variant, have a child process measure it, sign what it found.

Guarantees. Only what the tenant signed is measured. The child ran a tenant's model, so its answer is read as strictly as
anybody's: it can be wrong about speed and about nothing else. The tuning's row learns of the result in the transaction that
ends the job.
"""

from __future__ import annotations

from dataclasses import dataclass

from artifacts.tuning import Tuning, sign_tuning
from registry_api.db.session import Session
from registry_api.jobs.interface import Apply, Fault, Job, JobTask, Outcome
from registry_api.models.bundle import stage_bundle
from registry_api.models.source import Source
from registry_api.products.handler import ProductHandler, WorkOptions
from registry_api.tunings.child import MeasureLimits, measure_in_child
from registry_api.tunings.repository import TuningRepository
from registry_api.tunings.values import TUNING, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneOptions(WorkOptions):
    """Where tunings work and what they may use."""

    limits: MeasureLimits
    timeout_seconds: float = 600.0  # of a whole job, the wait for other tunings of this machine included


class TuneHandler(ProductHandler[TuneOptions]):
    """Runs tune jobs."""

    product = TUNING

    async def run(self, task: JobTask) -> Outcome:
        """Measures and signs.

        Raises:
            SignatureError: A ``SIGN_*`` code: the variant does not verify.
            JobError: ``JOB_002`` if it cannot be measured.
        """
        tuning_id = TUNING.id_in(task.job)
        source = await self._source(task.job.tenant, tuning_id)
        with self._scratch(task.job) as scratch:
            task.progress(0.02, "verifying the model")
            policy = await self._policy(source.tenant)
            await stage_bundle(self._store, policy, self._clock, source, scratch=scratch, task=task)
            tuning = await measure_in_child(source, scratch, self._options.limits, task)
        result = await self._signed(source, tuning)
        chosen = tuning.chosen
        task.log(
            f"chose {chosen.instances} instances x {chosen.threads} threads, batches of {chosen.max_rows or 1} rows"
        )

        async def apply(session: Session) -> None:
            await TuningRepository(session, source.tenant).finish(tuning_id, result)

        told = {"instances": chosen.instances, "threads": chosen.threads, "max_rows": chosen.max_rows}
        return Outcome(result={"tuning": tuning_id, **told}, apply=apply)

    async def abandon(self, job: Job, fault: Fault) -> Apply | None:
        """As that of any product, but nobody is told: there is no event of tunings."""
        await super().abandon(job, fault)
        return None

    async def _source(self, tenant: str, tuning_id: str) -> Source:
        async with self._db.read(tenant) as session:
            return (await TuningRepository(session, tenant).get(tuning_id)).source

    async def _signed(self, source: Source, tuning: Tuning) -> Result:
        signer = await self._signer(source.tenant)
        document = sign_tuning(tuning, variant=f"{source.ref} {source.variant}", digest=source.digest, signer=signer)
        return Result(tuning=tuning, document=document, key_id=signer.key_id)
