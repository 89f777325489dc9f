# SPDX-License-Identifier: Apache-2.0
"""Asks whether a tenant may keep what a job made."""

from __future__ import annotations

from core.errors import JobError, Overloaded
from registry_api.db.session import Session
from registry_api.models.uploads.interface import TenantBlobs


async def admit_product(blobs: TenantBlobs, session: Session, tenant: str) -> None:
    """Admits what this transaction has written. Waiting makes no room, so a job that is refused is not tried again.

    Raises:
        JobError: ``QUOTA_001`` if the tenant would keep more than it may.
    """
    try:
        await blobs.admit(session, tenant)
    except Overloaded as error:
        raise JobError(error.code, error.message, details=error.details) from None
