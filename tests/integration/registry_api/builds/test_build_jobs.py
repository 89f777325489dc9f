# SPDX-License-Identifier: Apache-2.0
"""Build jobs through the API, with the real BentoML, the real service and a real model."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from artifacts.digest import digest_bytes
from artifacts.manifest import MANIFEST_NAME, SIGNATURE_NAME
from artifacts.signing.policy import Subject
from artifacts.signing.verifier import BundleVerifier
from artifacts.source import DirectorySource
from registry_api.builds.archive import unpack
from tests.integration.registry_api.bench import Bench


async def _bentoml(bench: Bench, *arguments: str) -> str:
    env = {**os.environ, "BENTOML_HOME": str(bench.home / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"}
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bentoml", *arguments, env=env, stdout=PIPE, stderr=PIPE
    )
    shown, errors = await child.communicate()
    assert child.returncode == 0, errors.decode()
    return shown.decode()


async def _download(bench: Bench, path: str) -> bytes:
    reply = await bench.api.http.get(f"/api/v1{path}")
    assert reply.is_success, reply.text
    assert reply.headers["ETag"] == f'"{digest_bytes(reply.content)}"'
    return reply.content


async def test_a_build_becomes_a_signed_bento_that_anybody_can_check(bench: Bench, tmp_path: Path) -> None:
    """Archive, manifest and signature verify under the tenant's policy, point at the variant, and BentoML lists the tag."""
    version = await bench.push()
    async with bench.working():
        build = await bench.build()
    assert (build["state"], build["tag"], build["error"]) == ("succeeded", "default.digits:v1-onnx-fp32-cpu", None)

    (tmp_path / "bento.tar").write_bytes(await _download(bench, f"/builds/{build['id']}/bento"))
    unpack(tmp_path / "bento.tar", tmp_path / "bento", max_files=1000, max_bytes=1 << 30)
    for name, kind in ((MANIFEST_NAME, "manifest"), (SIGNATURE_NAME, "signature")):
        (tmp_path / "bento" / name).write_bytes(await _download(bench, f"/builds/{build['id']}/{kind}"))
    policy = bench.api.platform.keys.policy("default")
    subject = Subject(tenant="default", model="digits", version=1, variant="onnx-fp32/cpu", kind="bento")
    bento = BundleVerifier(policy, bench.api.platform.clock).verify(
        DirectorySource(tmp_path / "bento"), subject=subject
    )
    assert (bento.digest, bento.key_id) == (build["digest"], build["key_id"])
    assert bento.manifest.size == build["size"]
    assert bento.manifest.parent == version["digest"]
    assert digest_bytes(bento.files["src/model/model.onnx"]) == version["files"][0]["digest"]
    assert {"src/trust/default.json", "src/services/inference/service.py", "bento.yaml"} <= bento.files.keys()
    assert not [path for path in bento.files if "__pycache__" in path or path.endswith(".key")]
    assert bento.files["env/python/requirements.txt"].count(b"--hash=sha256:") > 100
    assert any(path.startswith("src/wheels/furoshiki-") for path in bento.files)
    assert build["tag"] in await _bentoml(bench, "list", "-o", "json")


async def test_the_archive_can_be_imported_by_bentoml(bench: Bench, tmp_path: Path) -> None:
    """``bentoml import`` of a downloaded archive gives the same tag in another store."""
    await bench.push()
    async with bench.working():
        build = await bench.build()
    (tmp_path / "bento.tar").write_bytes(await _download(bench, f"/builds/{build['id']}/bento"))
    await _bentoml(bench, "delete", "--yes", build["tag"])
    await _bentoml(bench, "import", str(tmp_path / "bento.tar"))
    assert build["tag"] in await _bentoml(bench, "list", "-o", "json")


async def test_one_variant_can_be_built_again_even_at_the_same_time(bench: Bench) -> None:
    """Two builds of one variant at once both succeed under one tag; each is a Bento of its own."""
    await bench.push()
    async with bench.working():
        first, second = await asyncio.gather(bench.build(), bench.build(version=1, variant="onnx-fp32/cpu"))
    assert {first["state"], second["state"]} == {"succeeded"}
    assert first["tag"] == second["tag"]
    assert first["id"] != second["id"]
    listed = await bench.api.ok("GET", "/builds")
    assert {item["id"] for item in listed["items"]} == {first["id"], second["id"]}


async def test_a_damaged_model_is_not_built(bench: Bench) -> None:
    """After a byte of the stored model flipped, the build fails with STORE_003 and leaves no Bento."""
    version = await bench.push()
    bench.api.damage(version["files"][0]["digest"])
    async with bench.working():
        build = await bench.build()
    assert (build["state"], build["error"]["code"]) == ("failed", "STORE_003")
    assert build["digest"] is None
    assert list((bench.home / "bentoml").glob("bentos/*")) == []


async def test_a_revoked_version_is_not_built(bench: Bench) -> None:
    """A version whose digest is on the tenant's revocation list fails with SIGN_009."""
    version = await bench.push()
    bench.api.platform.keys.revoke("default", digests=frozenset({version["digest"]}))
    async with bench.working():
        build = await bench.build()
    assert (build["state"], build["error"]["code"]) == ("failed", "SIGN_009")


async def test_scratch_is_empty_after_any_end(bench: Bench) -> None:
    """Neither a build that succeeded nor one that failed leaves a folder behind."""
    version = await bench.push()
    async with bench.working():
        await bench.build()
        bench.api.platform.keys.revoke("default", digests=frozenset({version["digest"]}))
        await bench.build()
    assert list((bench.home / "scratch" / "builds").glob("build-*")) == []


async def test_what_does_not_exist_cannot_be_built(bench: Bench) -> None:
    """Unknown model, version and variant are 404 at once; no job is written."""
    await bench.push()
    for fields in (
        {"model": "nothing"},
        {"model": "digits", "version": 9},
        {"model": "digits", "variant": "tflite-int8/cpu"},
    ):
        assert await bench.api.refused("POST", "/builds", json=fields) == (404, "MODEL_001")
    assert (await bench.api.ok("GET", "/jobs"))["items"] == []
    assert await bench.api.refused("GET", "/builds/nothing") == (404, "BUILD_001")


async def test_a_queued_build_has_nothing_to_download_and_can_be_cancelled(bench: Bench) -> None:
    """Before a worker took it, downloads are 409; cancelled, it ends failed with JOB_005 and was never run."""
    await bench.push()
    build = await bench.api.ok("POST", "/builds", json={"model": "digits"})
    assert (build["state"], build["tag"]) == ("queued", None)
    for part in ("bento", "manifest", "signature"):
        assert await bench.api.refused("GET", f"/builds/{build['id']}/{part}") == (409, "STATE_001")
    asked = await bench.api.ok("POST", f"/jobs/{build['job_id']}/cancel")
    assert (asked["state"], asked["cancel_requested"]) == ("queued", True)
    async with bench.working():
        assert (await bench.ended(build["job_id"]))["state"] == "cancelled"
    shown = await bench.api.ok("GET", f"/builds/{build['id']}")
    assert (shown["state"], shown["error"]["code"]) == ("failed", "JOB_005")


async def test_builds_need_the_right_scope_and_stay_inside_their_tenant(bench: Bench) -> None:
    """A reader may look but not build; another tenant's key sees nothing."""
    await bench.push()
    build = await bench.api.ok("POST", "/builds", json={"model": "digits"})
    await bench.api.ok("POST", "/tenants", json={"name": "other"})
    reader = {"X-API-Key": await bench.api.key("viewer")}
    other = {"X-API-Key": await bench.api.key("tenant-admin", tenant="other")}
    assert await bench.api.refused("POST", "/builds", json={"model": "digits"}, headers=reader) == (403, "AUTH_003")
    assert (await bench.api.ok("GET", f"/builds/{build['id']}", headers=reader))["id"] == build["id"]
    assert await bench.api.refused("GET", f"/builds/{build['id']}", headers=other) == (404, "BUILD_001")
    assert await bench.api.refused("GET", f"/jobs/{build['job_id']}", headers=other) == (404, "JOB_001")
    assert await bench.api.refused("POST", f"/jobs/{build['job_id']}/cancel", headers=reader) == (403, "AUTH_003")
