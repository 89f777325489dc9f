# SPDX-License-Identifier: Apache-2.0
"""Which blobs a database cannot do without. Uploads that are still open do not count: their senders send again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from sqlalchemy import select, union

from artifacts.digest import Digest
from registry_api.builds.tables import BuildRow
from registry_api.conversions.tables import CalibrationRow, ConversionResultRow, VariantFileRow
from registry_api.db.session import Session
from registry_api.images.tables import ImageBlobRow
from registry_api.models.tables import VariantRow, VersionFileRow, VersionRow

_COLUMNS: Final = (
    (VersionFileRow.tenant, VersionFileRow.digest),
    (VersionRow.tenant, VersionRow.digest),
    (VersionRow.tenant, VersionRow.signature_digest),
    (VariantRow.tenant, VariantRow.digest),
    (VariantRow.tenant, VariantRow.signature_digest),
    (VariantFileRow.tenant, VariantFileRow.digest),
    (CalibrationRow.tenant, CalibrationRow.digest),
    (CalibrationRow.tenant, CalibrationRow.signature_digest),
    (ConversionResultRow.tenant, ConversionResultRow.report_digest),
    (ConversionResultRow.tenant, ConversionResultRow.report_signature_digest),
    (ConversionResultRow.tenant, ConversionResultRow.picture_digest),
    (BuildRow.tenant, BuildRow.digest),
    (BuildRow.tenant, BuildRow.signature_digest),
    (BuildRow.tenant, BuildRow.archive_digest),
    (ImageBlobRow.tenant, ImageBlobRow.digest),
)


async def needed_blobs(session: Session) -> AsyncIterator[tuple[str, Digest]]:
    """Tenant and digest of every blob that a row names, each once, in order; needs a session for every tenant."""
    named = (select(tenant, digest).where(digest.is_not(None)) for tenant, digest in _COLUMNS)
    rows = await session.stream(union(*named).order_by("tenant", "digest"))
    async for tenant, digest in rows:
        yield str(tenant), str(digest)
