# SPDX-License-Identifier: Apache-2.0
"""Images are kept while their version is: counted once, not collected, named by a backup, and gone with the version."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from registry_api.db.session import EVERY_TENANT
from registry_api.deletion.purging.purger import Purger
from registry_api.models.tables import VersionRow
from registry_api.storage.repository import forget_jobs
from tests.integration.registry_api.images.jobs.works import Works


async def test_blobs_count_once_and_are_needed(works: Works) -> None:
    """Two images of one Bento share all but what is signed about each; usage, storage and backups see every blob."""
    before, first = await works.kept(), await works.made_image(works.made["id"])
    async with works.working():
        second = await works.made_image((await works.image(works.built))["id"])
    known = {blob.digest for blob in first.blobs}
    added = sum(blob.size for blob in second.blobs if blob.digest not in known)
    assert await works.kept() == before + added
    assert 0 < added < sum(blob.size for blob in second.blobs)
    assert await works.needed(second) == [{blob.digest for blob in second.blobs}] * 3


async def test_an_image_outlives_the_log_of_its_job(works: Works) -> None:
    """Housekeeping forgets old jobs; of one that an image names, the log only."""
    image = works.made
    async with works.api.platform.db.write(EVERY_TENANT) as session:
        await forget_jobs(session, ended_before=datetime.now(UTC) + timedelta(days=1), most=100)
    assert await works.api.ok("GET", f"/images/{image['id']}") == image
    assert await works.log(image["job_id"]) == ""


async def test_a_version_is_not_deleted_while_an_image_of_it_is_made_and_takes_its_images_along(works: Works) -> None:
    """STATE_004, naming the job; later the purge removes the rows, so that nobody needs the blobs any more."""
    build, image = works.built, works.made
    blobs = await works.made_image(image["id"])
    waiting = await works.ask(build)
    reply = await works.api.http.delete("/api/v1/models/digits/versions/1?reason=test")
    (use,) = reply.json()["error"]["details"]["uses"]
    assert (reply.status_code, use["use"], use["name"]) == (409, "image", waiting["job_id"])
    await works.api.ok("POST", f"/jobs/{waiting['job_id']}/cancel")
    async with works.working():
        await works.ended(waiting["job_id"])
    await works.api.ok("DELETE", "/models/digits/versions/1?reason=test")
    assert await works.api.refused("POST", "/images", json={"build_id": build["id"]}) == (404, "MODEL_001")
    platform = works.api.platform
    async with platform.db.write(EVERY_TENANT) as session:
        await session.execute(update(VersionRow).values(purge_at=datetime(2026, 1, 1, tzinfo=UTC)))
    assert await Purger(platform.db, platform.clock).purge() == 1
    assert await works.api.refused("GET", f"/images/{image['id']}") == (404, "IMAGE_008")
    assert await works.needed(blobs) == [set()] * 3
