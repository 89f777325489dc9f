# SPDX-License-Identifier: Apache-2.0
"""Tune jobs through the API, with a real model measured in a real child process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

import furoshiki
from artifacts.digest import digest_bytes
from artifacts.signing.policy import Subject
from artifacts.signing.verifier import BundleVerifier
from artifacts.source import DirectorySource
from artifacts.tuning import verify_tuning
from registry_api.builds.archive import unpack
from runners.batching.policy import BatchLimits
from runners.bundles import load_bundle, loader_of
from runners.settings import ServingSettings
from tests.integration.registry_api.bench import Bench


async def tuned(bench: Bench, **fields: Any) -> dict[str, Any]:
    """Asks for a tuning and waits until it has ended; a worker must be at work."""
    asked = await bench.api.ok("POST", "/tunings", json={"model": "digits", **fields})
    await bench.ended(asked["job_id"])
    shown: dict[str, Any] = await bench.api.ok("GET", f"/tunings/{asked['id']}")
    return shown


async def document(bench: Bench, **query: str) -> bytes:
    reply = await bench.api.http.get("/api/v1/models/digits/versions/1/tuning", params=query)
    assert reply.is_success, reply.text
    assert reply.headers["ETag"] == f'"{digest_bytes(reply.content)}"'
    return reply.content


async def test_a_tuning_is_measured_signed_and_kept_with_its_variant(bench: Bench) -> None:
    """The choice is a measured point, the document verifies for the version's digest and the job's log has every point."""
    version = await bench.push()
    async with bench.working():
        tuning = await tuned(bench)
    assert (tuning["state"], tuning["error"], tuning["digest"]) == ("succeeded", None, version["digest"])
    chosen = tuning["chosen"]
    assert msgspec.convert(tuning, furoshiki.Tuning).chosen == furoshiki.TuningChoice(**chosen)
    points = {(p["instances"], p["threads"], p["rows"]) for p in tuning["measurements"]}
    assert (chosen["instances"], chosen["threads"], chosen["max_rows"]) in points
    policy = bench.api.platform.keys.policy("default")
    verifier = BundleVerifier(policy, bench.api.platform.clock)
    verified = verify_tuning(await document(bench), digest=version["digest"], verifier=verifier)
    assert verified.device.fingerprint == tuning["device"]["fingerprint"]
    assert len(verified.measurements) == len(points)
    job = await bench.api.ok("GET", f"/jobs/{tuning['job_id']}")
    assert job["result"] == {"tuning": tuning["id"], **chosen}
    assert (await bench.text(f"/jobs/{tuning['job_id']}/log")).count("rows/s") == len(points)
    assert list((bench.home / "scratch" / "tunings").glob("tune-*")) == []


async def test_the_document_is_found_by_device_and_variant(bench: Bench) -> None:
    """Its own device finds it, another one and an untuned version do not: TUNING_001."""
    await bench.push()
    where = "/models/digits/versions/1/tuning"
    assert await bench.api.refused("GET", where) == (404, "TUNING_001")
    async with bench.working():
        tuning = await tuned(bench, version=1, variant="onnx-fp32/cpu")
    found = await document(bench)
    assert await document(bench, device=tuning["device"]["fingerprint"], variant="onnx-fp32/cpu") == found
    other = "sha256:" + "0" * 64
    assert await bench.api.refused("GET", where, params={"device": other}) == (404, "TUNING_001")
    assert await bench.api.refused("GET", where, params={"variant": "onnx-int8/cpu"}) == (404, "MODEL_001")
    assert await bench.api.refused("GET", "/models/digits/versions/2/tuning") == (404, "MODEL_001")


async def test_a_damaged_model_is_not_measured(bench: Bench) -> None:
    """After a byte of the stored model flipped, the tuning fails with STORE_003 and has no document."""
    version = await bench.push()
    bench.api.damage(version["files"][0]["digest"])
    async with bench.working():
        tuning = await tuned(bench)
    assert (tuning["state"], tuning["error"]["code"], tuning["chosen"]) == ("failed", "STORE_003", None)
    assert await bench.api.refused("GET", "/models/digits/versions/1/tuning") == (404, "TUNING_001")


async def test_tunings_need_the_right_scope_and_stay_inside_their_tenant(bench: Bench) -> None:
    """A reader may look but not tune; another tenant's key sees nothing; unknown models are 404 and write no job."""
    await bench.push()
    assert await bench.api.refused("POST", "/tunings", json={"model": "nothing"}) == (404, "MODEL_001")
    assert (await bench.api.ok("GET", "/jobs"))["items"] == []
    tuning = await bench.api.ok("POST", "/tunings", json={"model": "digits"})
    await bench.api.ok("POST", "/tenants", json={"name": "other"})
    reader = {"X-API-Key": await bench.api.key("viewer")}
    other = {"X-API-Key": await bench.api.key("tenant-admin", tenant="other")}
    assert await bench.api.refused("POST", "/tunings", json={"model": "digits"}, headers=reader) == (403, "AUTH_003")
    assert (await bench.api.ok("GET", "/tunings", headers=reader))["items"] == [tuning]
    assert (await bench.api.ok("GET", "/tunings", headers=other))["items"] == []
    assert await bench.api.refused("GET", f"/tunings/{tuning['id']}", headers=other) == (404, "TUNING_001")


async def test_a_build_takes_the_tuning_along_and_serving_uses_it(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signed Bento holds ``src/tuning.json`` beside the model; whoever loads that model runs it as chosen."""
    await bench.push()
    async with bench.working():
        tuning = await tuned(bench)
        build = await bench.build()
    assert build["state"] == "succeeded"
    reply = await bench.api.http.get(f"/api/v1/builds/{build['id']}/bento")
    (tmp_path / "bento.tar").write_bytes(reply.content)
    bento = tmp_path / "bento"
    unpack(tmp_path / "bento.tar", bento, max_files=1000, max_bytes=1 << 30)
    assert (bento / "src" / "tuning.json").read_bytes() == await document(bench)

    monkeypatch.setenv("FUROSHIKI_SOURCE", "bundle")
    monkeypatch.setenv("FUROSHIKI_BUNDLE__PATH", str(bento / "src" / "model"))
    monkeypatch.setenv("FUROSHIKI_TRUST__DIR", str(bento / "src" / "trust"))
    used = [event for event in await _load() if event["event"] == "tuning_used"]
    wanted = {key: tuning["chosen"][key] for key in ("instances", "threads", "max_rows")}
    assert [{key: event[key] for key in wanted} for event in used] == [wanted]

    policy = bench.api.platform.keys.policy("default")
    subject = Subject(tenant="default", model="digits", version=1)
    BundleVerifier(policy, bench.api.platform.clock).verify(DirectorySource(bento / "src" / "model"), subject=subject)
    monkeypatch.setenv("FUROSHIKI_TUNING__USE", "false")
    assert not [event for event in await _load() if event["event"].startswith("tuning_")]


async def _load() -> list[Any]:
    settings = ServingSettings.read()
    with capture_logs() as events:
        loaded = await load_bundle(settings, loader_of(settings, limits=BatchLimits()))
    await loaded.handle.close()
    return list(events)
