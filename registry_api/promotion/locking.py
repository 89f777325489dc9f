# SPDX-License-Identifier: Apache-2.0
"""How every change of what a version is begins: with its model locked, and the version as it is from then on."""

from __future__ import annotations

from registry_api.db.session import Session
from registry_api.models.service import found_version
from registry_api.models.values import Version
from registry_api.promotion.repository import Locked, lock_version


async def lock_and_read(session: Session, tenant: str, model: str, version: int) -> tuple[Locked, Version]:
    """Locks a model and reads a version of it.

    Raises:
        ModelError: ``MODEL_001`` if the tenant has no such version.
    """
    locked = await lock_version(session, tenant, model, version)
    found = await found_version(session, tenant, model, version)
    return locked, found
