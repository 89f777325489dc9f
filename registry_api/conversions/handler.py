# SPDX-License-Identifier: Apache-2.0
"""The work of a convert job: fetch and verify the source, have a child convert it, sign what it made, store it.

Guarantees. Only what the tenant signed is converted. Every accepted candidate becomes a variant signed with its source as
parent; of a rejected one only the signed report is kept. Results are written in the transaction that ends the job, once,
under the tenant's lock, and only if their blobs are still there. Nothing is written if what they were made from, however far
back, was revoked meanwhile. An attempt that did not end leaves nothing but content-addressed blobs nobody refers to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artifacts.signing.policy import TrustPolicy
from artifacts.signing.verifier import BundleVerifier, revoked_error
from converters.spec import ConvertAnswer
from core.errors import Conflict, ErrorCode
from registry_api.conversions.calibrations.fetching import fetch_calibration
from registry_api.conversions.calibrations.repository import CalibrationRepository
from registry_api.conversions.calibrations.values import Calibration
from registry_api.conversions.candidates import Work, drafted
from registry_api.conversions.child import OUTPUT, ConvertLimits, convert_in_child
from registry_api.conversions.evidence import add_evidence, parity_evidence, parity_of
from registry_api.conversions.repository import ConversionRepository
from registry_api.conversions.storing import Picture, blobs_of, stored
from registry_api.conversions.values import CONVERSION, Conversion, Made
from registry_api.db.session import Session
from registry_api.jobs.interface import Apply, JobTask, Outcome
from registry_api.models.bundle import stage_bundle
from registry_api.models.repository import VersionRepository
from registry_api.models.service import found_version
from registry_api.models.uploads.admission import admit_product
from registry_api.models.uploads.interface import TenantBlobs
from registry_api.products.events import tell_success
from registry_api.products.handler import ProductHandler, Tools, WorkOptions
from registry_api.promotion.values import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertOptions(WorkOptions):
    """Where conversions work and what they may use."""

    limits: ConvertLimits
    picture: Picture  # draws a report as SVG
    timeout_seconds: float = 1800.0  # of a whole job


class ConvertHandler(ProductHandler[ConvertOptions]):
    """Runs convert jobs.

    Args:
        tools: What it works with.
        blobs: Knows what a tenant may keep.
        options: Folders and limits.
    """

    product = CONVERSION

    def __init__(self, tools: Tools, *, blobs: TenantBlobs, options: ConvertOptions) -> None:
        super().__init__(tools, options=options)
        self._blobs = blobs

    async def run(self, task: JobTask) -> Outcome:
        """Converts, signs and stores.

        Raises:
            SignatureError: A ``SIGN_*`` code: the source or the calibration data does not verify.
            JobError: ``JOB_002`` if it cannot be converted.
        """
        conversion, calibration = await self._conversion(task.job.tenant, CONVERSION.id_in(task.job))
        with self._scratch(task.job) as scratch:
            await self._fetch(conversion, calibration, scratch, task)
            answer = await convert_in_child(conversion.source, conversion.plan, scratch, self._options.limits, task)
            work = Work(
                conversion=conversion,
                calibration=calibration,
                environment=answer.environment,
                folder=scratch / OUTPUT,
            )
            made = await self._made(work, answer, task)
        await self._check_ancestors(conversion, await self._policy(task.job.tenant))
        evidence = await self._evidence(conversion, made)
        apply = self._apply(conversion, made, answer.environment, evidence)
        return Outcome(result=_told(conversion.id, made), apply=apply)

    async def _conversion(self, tenant: str, conversion_id: str) -> tuple[Conversion, Calibration | None]:
        async with self._db.read(tenant) as session:
            found = await ConversionRepository(session, tenant).get(conversion_id)
            name, calibration = found.plan.calibration, None
            if name is not None:
                calibration = await CalibrationRepository(session, tenant).get(found.source.model, name)
        return found, calibration

    async def _fetch(
        self, conversion: Conversion, calibration: Calibration | None, scratch: Path, task: JobTask
    ) -> None:
        source = conversion.source
        task.progress(0.02, "verifying the model")
        policy = await self._policy(source.tenant)
        await self._check_ancestors(conversion, policy)
        await stage_bundle(self._store, policy, self._clock, source, scratch=scratch, task=task)
        if calibration is not None:
            verifier = BundleVerifier(policy, self._clock)
            await fetch_calibration(self._store, verifier, calibration, scratch / "calibration")
            task.log(f"verified calibration data {calibration.name} {calibration.digest}")

    async def _check_ancestors(self, conversion: Conversion, policy: TrustPolicy) -> None:
        """A verifier looks one generation back; this looks at all of them."""
        source = conversion.source
        async with self._db.read(source.tenant) as session:
            ancestors = await ConversionRepository(session, source.tenant).made_from(source.digest)
        for digest in (source.digest, *ancestors):
            if digest in policy.revoked_digests:
                raise revoked_error("ancestor", digest)

    async def _made(self, work: Work, answer: ConvertAnswer, task: JobTask) -> list[Made]:
        for failed in answer.failed:
            task.log(f"could not make {failed.variant}: {failed.code}: {failed.message}")
        if answer.advice:
            task.log(answer.advice)
        signer = await self._signer(work.conversion.source.tenant)
        task.progress(0.92, "signing and storing")
        made = []
        for candidate in answer.candidates:
            draft = await asyncio.to_thread(drafted, work, candidate, signer, self._clock)
            made.append(await stored(self._store, work, draft, self._options.picture))
            verdict = "accepted" if candidate.accepted else "rejected: " + "; ".join(candidate.reasons)
            task.log(f"{candidate.variant} {draft.digest}, {draft.manifest.size} bytes: {verdict}")
        return made

    async def _evidence(self, conversion: Conversion, made: Sequence[Made]) -> Evidence | None:
        content, source = parity_of(conversion.plan, made), conversion.source
        async with self._db.read(source.tenant) as session:
            version = await VersionRepository(session, source.tenant).get(source.model, source.version)
        if content is None or version is None:
            return None
        signer = await self._signer(source.tenant)
        return await asyncio.to_thread(parity_evidence, content, version, signer, self._clock.now())

    def _apply(
        self,
        conversion: Conversion,
        made: Sequence[Made],
        environment: Mapping[str, Any],
        evidence: Evidence | None,
    ) -> Apply:
        source = conversion.source

        async def apply(session: Session) -> None:
            await self._check_stored(session, source, [digest for each in made for digest in blobs_of(each)])
            version = await found_version(session, source.tenant, source.model, source.version)
            taken = {variant.name for variant in version.variants} & {m.result.variant for m in made if _kept(m)}
            if taken:
                raise Conflict(
                    ErrorCode.RESOURCE_EXISTS,
                    f"Another conversion made {', '.join(sorted(taken))} of {source.ref} meanwhile.",
                )
            conversions = ConversionRepository(session, source.tenant)
            await conversions.finish(conversion, made, environment=environment, now=self._clock.now())
            await admit_product(self._blobs, session, source.tenant)
            if evidence is not None:
                await add_evidence(session, source.tenant, evidence)
            accepted = [each.result.variant for each in made if _kept(each)]
            await tell_success(session, CONVERSION, conversion.job, source, accepted=accepted)

        return apply


def _kept(made: Made) -> bool:
    return made.result.accepted


def _told(conversion_id: str, made: Sequence[Made]) -> dict[str, str | int]:
    accepted = [each.result.variant for each in made if _kept(each)]
    return {"conversion": conversion_id, "accepted": len(accepted), "variants": ", ".join(accepted)}
