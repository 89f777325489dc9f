# SPDX-License-Identifier: Apache-2.0
"""Tells that a job has made its product, or never will."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry_api.db.session import Session
from registry_api.jobs.interface import Apply, Fault, Job
from registry_api.models.source import Source
from registry_api.products.kind import ProductKind
from registry_api.webhooks.outbox import emit


async def tell_success(session: Session, kind: ProductKind, job: Job, source: Source, **facts: Any) -> None:
    """Tells of a success, in the transaction that ends the job; ``facts`` say of what was made."""
    new = {"state": "succeeded", "model": source.model, "version": source.version, **facts}
    await _tell(session, kind, job, new)


def failure_teller(kind: ProductKind, job: Job, fault: Fault) -> Apply:
    """Tells of a failure, where it is applied."""

    async def apply(session: Session) -> None:
        await _tell(session, kind, job, {"state": "failed", "code": fault.code})

    return apply


async def _tell(session: Session, kind: ProductKind, job: Job, new: Mapping[str, Any]) -> None:
    product_id = kind.id_in(job)
    await emit(
        session,
        tenant=job.tenant,
        kind=f"{kind.name}.finished",
        subject=f"{kind.name}/{product_id}",
        old=None,
        new={kind.name: product_id, **new},
        actor="worker",
    )
