# SPDX-License-Identifier: Apache-2.0
"""Convert jobs through the API, with a real child process in place of the converters."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from artifacts.digest import digest_bytes
from artifacts.manifest import Manifest
from artifacts.signing.documents import verify_document
from artifacts.signing.policy import Subject
from artifacts.signing.verifier import BundleVerifier
from registry_api.conversions.candidates import report_claim
from registry_api.conversions.service import ConversionService
from registry_api.jobs.process import JOB_VARIABLE, find_by_variable
from tests.integration.registry_api.bench import until
from tests.integration.registry_api.conversions.conftest import ConvertBench

VERSION = "/models/digits/versions/1"
INT8 = "onnx-int8/cpu"


async def content(bench: ConvertBench, path: str, **query: str) -> bytes:
    reply = await bench.api.http.get(f"/api/v1{path}", params=query)
    assert reply.is_success, reply.text
    assert reply.headers["ETag"] == f'"{digest_bytes(reply.content)}"'
    return reply.content


def verifier_of(bench: ConvertBench) -> BundleVerifier:
    return BundleVerifier(bench.api.platform.keys.policy("default"), bench.api.platform.clock)


async def forms(bench: ConvertBench) -> dict[str, str]:
    """State of every form of the version, by name."""
    return {form["name"]: form["state"] for form in (await bench.api.ok("GET", f"{VERSION}/variants"))["items"]}


async def test_an_accepted_result_is_a_signed_child_of_its_source(bench: ConvertBench) -> None:
    """It is a variant with its source's digest as parent; its bytes verify under the tenant's keys; nothing is left over."""
    version = await bench.push()
    async with bench.converting():
        shown = await bench.convert()
    assert (shown["state"], shown["error"]) == ("succeeded", None)
    (result,) = shown["results"]
    assert (result["variant"], result["accepted"], result["ratio"]) == (INT8, True, 4.0)
    manifest_bytes = await content(bench, f"{VERSION}/variants/{INT8}/manifest")
    signature = await content(bench, f"{VERSION}/variants/{INT8}/signature")
    subject = Subject(tenant="default", model="digits", version=1, variant=INT8)
    manifest = verifier_of(bench).verify_manifest(manifest_bytes, signature, subject=subject)
    assert (manifest.parent, manifest.digest) == (version["digest"], result["digest"])
    assert manifest.metadata["conversion.id"] == shown["id"]
    for entry in manifest.files:
        assert digest_bytes(await content(bench, f"{VERSION}/variants/{INT8}/files/{entry.path}")) == entry.digest
    variants = (await bench.api.ok("GET", VERSION))["variants"]
    assert [(each["name"], each["source"]) for each in variants] == [("onnx-fp32/cpu", True), (INT8, False)]
    assert "convert: accept" in await bench.text(f"/jobs/{shown['job_id']}/log")
    assert list((bench.home / "scratch" / "conversions").glob("convert-*")) == []


async def test_a_report_is_signed_and_has_a_picture(bench: ConvertBench) -> None:
    """The signature covers the report's digest, the result's manifest and its source's; the picture is an inert SVG."""
    await bench.push()
    async with bench.converting():
        shown = await bench.convert()
    where = f"/conversions/{shown['id']}/report"
    report = await content(bench, where)
    signature = await content(bench, f"{where}/signature", variant=INT8)
    conversion = await bench.api.services.get(ConversionService).get("default", shown["id"])
    claim = report_claim(conversion, INT8, digest_bytes(report), shown["results"][0]["digest"], accepted=True)
    verify_document(signature, claim, verifier_of(bench))
    picture = await bench.api.http.get(f"/api/v1{where}/picture")
    assert (picture.headers["content-type"], picture.text) == ("image/svg+xml", f"<svg><!-- {INT8} --></svg>")
    assert "sandbox" in picture.headers["content-security-policy"]
    assert await bench.api.refused("GET", where, params={"variant": "onnx-fp16/cpu"}) == (404, "CONVERT_001")


async def test_all_variants_are_in_one_picture(bench: ConvertBench) -> None:
    """Each converted form by its newest report, rejected ones too; revoked ones and the uploaded one are left out."""
    await bench.push()

    async def drawn() -> list[str]:
        reply = await bench.api.http.get(f"/api/v1{VERSION}/variants/picture")
        assert (reply.status_code, reply.headers["content-type"]) == (200, "image/svg+xml")
        assert "sandbox" in reply.headers["content-security-policy"]
        assert reply.headers["cache-control"] == "private, no-cache"
        shown = ElementTree.fromstring(reply.content)
        texts = [text.text or "" for text in shown.iter("{http://www.w3.org/2000/svg}text")]
        return sorted(text for text in texts if "/cpu" in text)

    assert await drawn() == []
    async with bench.converting():
        await bench.convert("onnx-fp16")
        shown = await bench.convert(does="reject")
    assert shown["results"][0]["accepted"] is False
    assert await drawn() == ["onnx-fp16/cpu 0.9990", f"{INT8} 0.9990"]
    revoked = {"version": {"model": "digits", "version": 1}, "reason": "leaked data"}
    await bench.api.ok("POST", "/signing/revoke", json=revoked)
    assert await drawn() == [f"{INT8} 0.9990"]
    nothing = "/models/digits/versions/2/variants/picture"
    assert await bench.api.refused("GET", nothing) == (404, "MODEL_001")


async def test_a_rejected_result_is_on_record_and_nothing_else(bench: ConvertBench) -> None:
    """It is listed with its reason and its report; it can be neither built, downloaded, tuned, converted nor chosen."""
    await bench.push()
    async with bench.converting():
        shown = await bench.convert(does="reject")
    assert (shown["state"], shown["results"][0]["reasons"]) == ("succeeded", ["cosine 0.5 is below 0.98"])
    assert await forms(bench) == {"onnx-fp32/cpu": "source", INT8: "rejected"}
    assert b'"accepted":false' in await content(bench, f"/conversions/{shown['id']}/report")
    build: dict[str, Any] = {"json": {"model": "digits", "variant": INT8}}
    assert await bench.api.refused("POST", "/builds", **build) == (409, "STATE_001")
    assert await bench.api.refused("POST", "/tunings", **build) == (404, "MODEL_001")
    for part in ("manifest", "signature", "files/model.onnx"):
        assert await bench.api.refused("GET", f"{VERSION}/variants/{INT8}/{part}") == (409, "STATE_001")
    again = {"json": {"to": "onnx-fp16", "variant": INT8}}
    assert await bench.api.refused("POST", f"{VERSION}/conversions", **again) == (404, "MODEL_001")
    choice = await bench.api.ok("GET", f"{VERSION}/variants/choice", params={"objective": "latency"})
    assert choice["variant"]["name"] == "onnx-fp32/cpu"
    assert f"{INT8} was rejected" in choice["why"]
    async with bench.converting():
        assert (await bench.convert())["state"] == "succeeded"
    assert (await forms(bench))[INT8] == "accepted"


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("crash", "status -6"),
        ("refuse", "MODEL_003: Custom op"),
        ("link", ""),
        ("lie", "contradicts itself"),
        ("babble", "no usable answer"),
    ],
)
async def test_a_failing_child_leaves_nothing_registered(bench: ConvertBench, does: str, said: str) -> None:
    """A crash, a refusal, a link out of the folder, a wrong report, an answer that is none: FAILED with the reason."""
    await bench.push()
    async with bench.converting():
        shown = await bench.convert(does=does)
    assert (shown["state"], shown["results"]) == ("failed", [])
    assert shown["error"]["code"] in ("JOB_002", "SIGN_007")
    assert said in shown["error"]["message"]
    assert await forms(bench) == {"onnx-fp32/cpu": "source"}
    assert list((bench.home / "scratch" / "conversions").glob("convert-*")) == []


async def test_cancelling_ends_the_child_and_its_children(bench: ConvertBench) -> None:
    """A conversion that hangs is cancelled: no process of it is left, and it has no result."""
    await bench.push()
    async with bench.converting():
        asked = await bench.ask(route=["hang"])
        job = asked["job_id"]

        async def started() -> bool:
            return len(list(find_by_variable(JOB_VARIABLE, job))) > 1

        await until(started)
        await bench.api.ok("POST", f"/jobs/{job}/cancel")
        assert (await bench.ended(job))["state"] == "cancelled"
    assert list(find_by_variable(JOB_VARIABLE, job)) == []
    assert (await bench.api.ok("GET", f"/conversions/{asked['id']}"))["results"] == []


async def test_a_variant_never_changes(bench: ConvertBench) -> None:
    """The same target again is a conflict; of two conversions at once to the same target one wins."""
    await bench.push()
    async with bench.converting():
        first, second = await bench.ask(), await bench.ask()
        ended = [await bench.ended(asked["job_id"]) for asked in (first, second)]
    assert sorted(job["state"] for job in ended) == ["failed", "succeeded"]
    assert [job["error"]["code"] for job in ended if job["error"]] == ["STATE_002"]
    assert await bench.api.refused("POST", f"{VERSION}/conversions", json={"to": "onnx-int8"}) == (409, "STATE_002")
    assert await forms(bench) == {"onnx-fp32/cpu": "source", INT8: "accepted"}


async def test_a_revoked_parent_revokes_its_children_and_theirs(bench: ConvertBench) -> None:
    """Source, converted, quantized: revoking the source refuses all three, and nothing is converted from them any more."""
    await bench.push()
    async with bench.converting():
        await bench.convert("onnx-fp16")
        await bench.convert("onnx-int8", variant="onnx-fp16/cpu")
    lineage = await bench.api.ok("GET", f"{VERSION}/lineage")
    edges = {(edge["source"], edge["target"]) for edge in lineage["edges"] if edge["relation"] == "derived"}
    assert edges == {
        ("version:digits@1", "variant:digits@1/onnx-fp16/cpu"),
        ("variant:digits@1/onnx-fp16/cpu", f"variant:digits@1/{INT8}"),
    }
    asked = await bench.ask("onnx-int8dyn", variant=INT8)
    revoked = {"version": {"model": "digits", "version": 1}, "reason": "leaked data"}
    await bench.api.ok("POST", "/signing/revoke", json=revoked)
    assert set((await forms(bench)).values()) == {"revoked"}
    assert await bench.api.refused("GET", f"{VERSION}/variants/choice") == (409, "STATE_001")
    async with bench.converting():
        assert (await bench.ended(asked["job_id"]))["error"]["code"] == "SIGN_009"
    manifest = Manifest.from_bytes(await content(bench, f"{VERSION}/variants/{INT8}/manifest"))
    assert manifest.digest in bench.api.platform.keys.policy("default").revoked_digests


async def test_the_choice_follows_the_objective(bench: ConvertBench) -> None:
    """The uploaded form by default of a build's objective, the measured best otherwise; a fidelity floor leaves it out."""
    await bench.push()
    async with bench.converting():
        await bench.convert()

    async def chosen(**query: Any) -> str:
        choice = await bench.api.ok("GET", f"{VERSION}/variants/choice", params=query)
        assert choice["why"]
        return str(choice["variant"]["name"])

    assert await chosen(objective="source") == "onnx-fp32/cpu"
    assert await chosen(objective="latency") == INT8
    assert await chosen(objective="throughput") == INT8
    assert await chosen(objective="fidelity") == "onnx-fp32/cpu"
    assert await chosen(objective="latency", fidelity=0.9999) == "onnx-fp32/cpu"
    assert await bench.api.refused("GET", f"{VERSION}/variants/choice", params={"device": "npu"}) == (409, "STATE_001")
    nothing = {"formats": "tflite"}
    assert await bench.api.refused("GET", f"{VERSION}/variants/choice", params=nothing) == (409, "STATE_001")
