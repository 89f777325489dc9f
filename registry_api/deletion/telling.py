# SPDX-License-Identifier: Apache-2.0
"""Tells webhooks and history what was deleted, restored and purged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from core.clock import rfc3339
from registry_api.audit.record import record
from registry_api.db.session import Session
from registry_api.models.values import Deletion, Model, Version
from registry_api.webhooks.outbox import emit

THE_REGISTRY: Final = "registry"
"""Who purges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One change of one version or model."""

    tenant: str
    action: str  # "version.deleted": of the event and of the history
    subject: str  # "digits@3", "digits"
    before: Mapping[str, Any]
    after: Mapping[str, Any] | None  # None: it is gone for good
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    actor: str = THE_REGISTRY
    actor_key: str = ""  # empty: the registry itself


async def tell(session: Session, told: Told, *, at: datetime) -> None:
    """Writes event and history; call it as the last thing of the transaction."""
    model, _, version = told.subject.partition("@")
    about = {"model": model, **({"version": int(version)} if version else {})}
    await emit(
        session,
        tenant=told.tenant,
        kind=told.action,
        subject=told.subject,
        old={**about, **told.before},
        new=None if told.after is None else {**about, **told.after, "reason": told.reason},
        actor=told.actor,
        at=at,
    )
    await record(
        session,
        tenant=told.tenant,
        actor=told.actor,
        actor_key=told.actor_key,
        action=told.action,
        subject=told.subject,
        before=told.before,
        after=told.after,
        reason=told.reason,
        evidence=told.evidence or None,
        at=at,
    )


def facts(deletion: Deletion | None) -> dict[str, Any]:
    """Whether something is deleted; by whom, why, and until when it can be restored."""
    if deletion is None:
        return {"deleted": False}
    return {"deleted": True, "by": deletion.by, "at": rfc3339(deletion.at), "purge_at": rfc3339(deletion.purge_at)}


def evidence_of(subject: Version | Model) -> dict[str, Any]:
    """What history keeps of a thing that may be gone when somebody reads it."""
    if isinstance(subject, Version):
        return {"digest": subject.digest, "stage": subject.stage, "format": subject.format, "bytes": subject.size}
    return {"last_number": subject.last_number}
