# SPDX-License-Identifier: Apache-2.0
"""Marks versions as deprecated in the database."""

from __future__ import annotations

from sqlalchemy import update

from registry_api.db.session import Session
from registry_api.models.tables import VersionRow
from registry_api.models.values import Deprecation
from registry_api.promotion.repository import Locked


async def set_deprecation(session: Session, tenant: str, version: Locked, deprecation: Deprecation | None) -> None:
    """Marks a version; None takes the mark away."""
    change = (
        update(VersionRow)
        .where(VersionRow.tenant == tenant, VersionRow.id == version.version_id)
        .values(
            deprecated_at=None if deprecation is None else deprecation.since,
            sunset_at=None if deprecation is None else deprecation.sunset,
            deprecation_message=None if deprecation is None else deprecation.message,
        )
    )
    await session.execute(change.execution_options(synchronize_session=False))
