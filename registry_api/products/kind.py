# SPDX-License-Identifier: Apache-2.0
"""The kinds of what jobs make, and how a job names the one it makes.

Rules. A product's row is written in one transaction with its job, so that neither exists without the other. Its state is its
job's: nothing has to be kept in step. What was made is written into the row in the transaction that ends the job.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

from core.errors import Conflict, ErrorCode, NotFound
from registry_api.jobs.interface import Job, JobKind, NewJob


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductKind:
    """One kind of product, such as builds."""

    name: str  # the word for one, in the specs of jobs, in events and in messages
    job: JobKind  # that makes it
    unknown: ErrorCode  # says that there is none of that id

    def new_job(self, tenant: str) -> NewJob:
        """A job that makes a new one, whose id it chooses."""
        return NewJob(tenant=tenant, kind=self.job, spec={self.name: uuid4().hex})

    def id_in(self, job: Job) -> str:
        """The id of what a job makes."""
        return str(job.spec[self.name])

    def missing(self, product_id: str) -> NotFound:
        """Says that the tenant has none of that id."""
        shown = product_id[:64]
        return NotFound(self.unknown, f"There is no {self.name} {shown!r}.", details={self.name: shown})

    def unfinished(self, product_id: str, state: str, then: str) -> Conflict:
        """Says that one is in ``state``, without what its job makes, and what is the case ``then``, when it has succeeded."""
        return Conflict(
            ErrorCode.STATE_CONFLICT,
            f"{self.name.capitalize()} {product_id!r} is {state}; {then}.",
            details={self.name: product_id, "state": state},
        )
