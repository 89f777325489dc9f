# SPDX-License-Identifier: Apache-2.0
"""Entries of histories that say nothing but that they are there."""

from __future__ import annotations

from typing import Any

from registry_api.audit.record import record
from registry_api.db.session import Session


async def note(session: Session, subject: str, *, tenant: str = "default", **facts: Any) -> None:
    """Appends that ann did something to ``subject``; ``facts`` are what else an entry may say."""
    plain: dict[str, Any] = {"action": "test.done", "before": None, "after": None, "reason": ""}
    await record(session, tenant=tenant, actor="ann", actor_key="k1", subject=subject, **plain | facts)
