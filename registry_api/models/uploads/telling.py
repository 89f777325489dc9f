# SPDX-License-Identifier: Apache-2.0
"""Tells of new versions."""

from __future__ import annotations

from registry_api.db.session import Session
from registry_api.models.values import Version
from registry_api.webhooks.outbox import emit


async def tell_registered(session: Session, version: Version, *, actor: str) -> None:
    """Writes the event of a registration, in its transaction.

    Args:
        session: The transaction.
        version: What was registered.
        actor: Who did.
    """
    await emit(
        session,
        tenant=version.tenant,
        kind="version.registered",
        subject=f"{version.model}@{version.version}",
        old=None,
        new={"model": version.model, "version": version.version, "digest": version.digest, "stage": version.stage},
        actor=actor,
        at=version.created_at,
    )
