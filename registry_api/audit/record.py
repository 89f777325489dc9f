# SPDX-License-Identifier: Apache-2.0
"""How every slice writes history: in the transaction of what happened, so neither is there without the other.

Rule: call it as the last thing of a transaction. It locks the end of the tenant's chain until the transaction ends, and who
locks other rows afterwards can meet somebody who holds them and waits for the chain.
"""

from __future__ import annotations

from datetime import UTC, datetime

from registry_api.audit.entries import Entry, Event, Facts
from registry_api.audit.repository import AuditRepository
from registry_api.db.session import Session


async def record(
    session: Session,
    *,
    tenant: str,
    actor: str,
    actor_key: str,
    action: str,
    subject: str,
    before: Facts | None,
    after: Facts | None,
    reason: str,
    evidence: Facts | None = None,
    at: datetime | None = None,
) -> Entry:
    """Appends to the tenant's history.

    Args:
        session: The transaction of what happened.
        tenant: Whose history.
        actor: Who did it: the name of an API key, or of the part of the platform.
        actor_key: The key's id; empty if it was the platform itself.
        action: What was done, as events are called: ``version.stage_changed``.
        subject: What it was done to: ``digits@3``, ``digits@champion``, ``digits``.
        before: How it was; None: it was not there.
        after: How it is; None: it is gone.
        reason: Why, in the actor's words; empty if none was asked for.
        evidence: What it was decided on: digests, approvals, overridden gates.
        at: When; None: by the system's clock.

    Raises:
        InvalidRequest: ``VALID_002`` if a fact has no canonical JSON form.
    """
    event = Event(
        tenant=tenant,
        actor=actor,
        actor_key=actor_key,
        action=action,
        subject=subject,
        before=before,
        after=after,
        reason=reason,
        evidence=evidence,
    )
    return await AuditRepository(session, tenant).append(event, at or datetime.now(UTC))
