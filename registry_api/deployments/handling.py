# SPDX-License-Identifier: Apache-2.0
"""What the handlers of deploy and stop jobs have in common: what they work with, and that one waits for the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from core.clock import Clock
from core.errors import ErrorCode, Unavailable
from registry_api.db.session import Database
from registry_api.deployments.claims import Claims
from registry_api.deployments.converger import Convergers
from registry_api.deployments.readiness import until
from registry_api.jobs.service import JobService

_PATIENCE: Final = 0.1
"""Of an attempt's time, for the job before to end. It may need the very slot that waits for it, which is given back then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handling:
    """What handlers of deployments' jobs work with."""

    db: Database  # where deployments are
    clock: Clock  # for times of records
    jobs: JobService  # tells whether the job before has ended
    claims: Claims  # tells whether a job still works for a deployment
    convergers: Convergers  # do the work
    timeout: float  # wall time of one attempt in seconds

    async def ended(self, tenant: str, job_id: str) -> None:
        """Waits until the job before has ended.

        Raises:
            Unavailable: ``STORE_001`` if it has not for a while.
        """

        async def final() -> bool:
            return (await self.jobs.get(tenant, job_id)).state.final

        if not await until(final, timeout=self.timeout * _PATIENCE):
            raise Unavailable(ErrorCode.STORE_UNAVAILABLE, "The job before this one has not ended yet.")
