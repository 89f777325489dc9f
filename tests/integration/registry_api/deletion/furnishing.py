# SPDX-License-Identifier: Apache-2.0
"""What a worker would have made of version 1's build; there is no worker in these tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import delete, update

from registry_api.builds.tables import BuildRow
from registry_api.db.session import EVERY_TENANT
from registry_api.deployments.tables import DeploymentRow
from registry_api.jobs.tables import JobRow
from tests.integration.registry_api.rest import Api

NOTHING = "sha256:" + "0" * 64


async def deploy(api: Api, build: Any, state: str) -> None:
    """The one deployment ``d``, in that state."""
    now = datetime.now(UTC)
    row = DeploymentRow(
        id=uuid4().hex,
        tenant="default",
        name="d",
        build_id=build["id"],
        model=build["model"],
        version=build["version"],
        digest=NOTHING,
        target="process",
        auth="api_key",
        state=state,
        job_id=build["job_id"],
        created_at=now,
        updated_at=now,
    )
    async with api.platform.db.write(EVERY_TENANT) as session:
        await session.execute(delete(DeploymentRow))
        session.add(row)


async def end(api: Api, *made: Any, digest: str = NOTHING) -> None:
    """Ends jobs of builds and tunings; a Bento has ``digest`` for its manifest, signature and archive."""
    jobs = [each["job_id"] for each in made]
    bento = {"tag": "t:1", "size": 1, "key_id": "k", "digest": digest, "signature_digest": digest}
    async with api.platform.db.write(EVERY_TENANT) as session:
        await session.execute(update(JobRow).where(JobRow.id.in_(jobs)).values(state="succeeded"))
        await session.execute(update(BuildRow).where(BuildRow.job_id.in_(jobs)).values(**bento, archive_digest=digest))
