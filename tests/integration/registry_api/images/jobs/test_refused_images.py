# SPDX-License-Identifier: Apache-2.0
"""What cannot be made into an image: refused at once, or a failed job whose code says why, and nothing left behind."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from registry_api.images.child import PROGRAM
from registry_api.images.testing import WANTS_COMMANDS
from registry_api.jobs.process import JOB_VARIABLE, find_by_variable
from tests.integration.registry_api.bench import until
from tests.integration.registry_api.images.jobs.works import Works

SPAWN_AND_WAIT = """
import subprocess, sys, time
subprocess.Popen(["sleep", "60"])
print("waiting", flush=True)
time.sleep(60)
"""
MOUNT_AND_WAIT = """
import json, pathlib, subprocess, sys, time
folder = pathlib.Path(json.load(open(sys.argv[1]))["scratch"], "a mount")
folder.mkdir()
subprocess.run(["mount", "-t", "tmpfs", "none", str(folder)], check=True)
(folder / "file").write_text("x")
print("waiting", flush=True)
time.sleep(60)
"""


def python(code: str) -> tuple[str, ...]:
    """A program in the place of the builder's."""
    return (sys.executable, "-c", code)


async def failed(works: Works, *, attempts: int = 1, **fields: str) -> tuple[str, str]:
    """Code and message of an image that fails after so many attempts, leaving nothing behind."""
    async with works.working():
        image = await works.image(works.built, **fields)
        job = await works.ended(image["job_id"])
    assert (image["state"], image["digest"], image["layers"]) == ("failed", None, [])
    assert (job["state"], job["attempt"]) == ("failed", attempts)
    assert works.scratch == []
    return image["error"]["code"], image["error"]["message"]


async def test_what_is_asked_for_is_checked_at_once(works: Works) -> None:
    """No such build, an unfinished one, no such builder or device: no job is made."""
    refused = works.api.refused
    assert await refused("POST", "/images", json={"build_id": "0" * 32}) == (404, "BUILD_001")
    build = works.built
    for wrong in ({"builder": "docker"}, {"device": "tpu"}, {"architecture": "AMD 64"}, {"more": 1}):
        status, code = await refused("POST", "/images", json={"build_id": build["id"], **wrong})
        assert (status, code) == (422, "VALID_002"), wrong
    waiting = await works.api.ok("POST", "/builds", json={"model": "digits"})
    assert await refused("POST", "/images", json={"build_id": waiting["id"]}) == (409, "STATE_001")
    assert (await works.api.ok("GET", "/images"))["items"] == [works.made]
    await works.api.ok("POST", "/tenants", json={"name": "other"})
    stranger = {"X-API-Key": await works.api.key("developer", tenant="other")}
    asked = {"build_id": build["id"]}
    assert await refused("POST", "/images", json=asked, headers=stranger) == (404, "BUILD_001")


async def test_an_image_that_is_not_made_yet_has_no_index_and_no_blobs(works: Works) -> None:
    """STATE_001, saying when it can be had."""
    image = await works.ask(works.built)
    assert image["state"] == "queued"
    for part in ("index", "blobs/sha256:" + "0" * 64):
        assert await works.api.refused("GET", f"/images/{image['id']}/{part}") == (409, "STATE_001")


async def test_a_builder_that_is_not_installed(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    """IMAGE_001: asked for by name it is not replaced by another."""
    monkeypatch.setenv("PATH", "/nonexistent")
    assert (await failed(works, builder="buildah"))[0] == "IMAGE_001"


async def test_a_base_image_that_is_not_there(works: Works) -> None:
    """IMAGE_002, after every attempt: a mirror may be back for the next one."""
    assert (await failed(works, attempts=3, device="edge"))[0] == "IMAGE_002"


async def test_a_base_image_for_another_architecture(works: Works) -> None:
    """IMAGE_003."""
    code, message = await failed(works, architecture="arm64")
    assert (code, "linux/amd64" in message) == ("IMAGE_003", True)


async def test_a_bento_that_wants_commands_run(works: Works) -> None:
    """IMAGE_004, naming the command; the builder layers runs none."""
    works.description = WANTS_COMMANDS
    async with works.working():
        works.built = await works.build()
    code, message = await failed(works)
    assert (code, "cowsay" in message) == ("IMAGE_004", True)


async def test_a_full_disk(works: Works) -> None:
    """STORE_004, after every attempt: there may be room for the next one. A limit on file sizes stands for the disk."""
    works.program = ("prlimit", "--fsize=200", *PROGRAM)
    assert (await failed(works, attempts=3))[0] == "STORE_004"


async def test_more_bytes_than_the_tenant_may_keep(works: Works) -> None:
    """QUOTA_001: what there is fits, the statements about one more image do not; it is not recorded."""
    works.tenant_bytes = await works.kept()
    assert (await failed(works))[0] == "QUOTA_001"


async def test_a_model_that_was_revoked_after_its_bento_was_built(works: Works) -> None:
    """SIGN_009: nothing revoked goes into an image."""
    async with works.working():
        version = await works.api.ok("GET", "/models/digits/versions/1")
        await works.api.ok("POST", "/signing/revoke", json={"digest": version["digest"], "reason": "test"})
        image = await works.image(works.built)
    assert (image["state"], image["error"]["code"]) == ("failed", "SIGN_009")


async def test_a_bento_whose_archive_is_gone(works: Works) -> None:
    """STORE_002: the store lost it."""
    shown = await works.api.ok("GET", f"/builds/{works.built['id']}")
    await works.api.platform.store.delete("default", shown["archive_digest"])
    async with works.working():
        image = await works.image(works.built)
    assert (image["state"], image["error"]["code"]) == ("failed", "STORE_002")


@pytest.mark.parametrize("code", [SPAWN_AND_WAIT, MOUNT_AND_WAIT], ids=["processes", "mounts"])
async def test_a_cancelled_job_leaves_no_process_no_mount_and_no_folder(works: Works, code: str) -> None:
    """The builder's whole process group is ended, and what it mounted is taken away before its folder is."""
    works.program = python(code)
    async with works.working():
        image = await works.ask(works.built)

        async def waiting() -> bool:
            return "waiting" in await works.log(image["job_id"])

        await until(waiting)
        await works.api.ok("POST", f"/jobs/{image['job_id']}/cancel")
        job = await works.ended(image["job_id"])
    assert (job["state"], job["error"]["code"]) == ("cancelled", "JOB_005")
    assert list(find_by_variable(JOB_VARIABLE, image["job_id"])) == []
    assert works.scratch == []
    mounts = await asyncio.to_thread(Path("/proc/self/mountinfo").read_text)
    assert str(works.root) not in mounts


async def test_the_builder_is_given_no_secret(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of this process's variables it gets those that say how packages are reached, and no other."""
    for name in ("FUROSHIKI_VAULT__TOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "hvs.secret")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    works.program = python(
        "import os; print(*(f'{k}={v}' for k, v in os.environ.items()), sep='\\n'); raise SystemExit(1)"
    )
    async with works.working():
        image = await works.image(works.built)
        log = await works.log(image["job_id"])
    assert image["error"]["code"] == "JOB_002"
    assert "PIP_INDEX_URL=http://127.0.0.1:9/simple" in log
    assert "hvs.secret" not in log
