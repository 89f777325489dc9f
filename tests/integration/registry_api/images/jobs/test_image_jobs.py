# SPDX-License-Identifier: Apache-2.0
"""Images as jobs: what is asked for, what is made, what is stored, and what can be had of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from artifacts.digest import digest_bytes
from artifacts.oci.layout import Layout
from artifacts.signing.policy import Subject
from artifacts.signing.verifier import BundleVerifier
from artifacts.supply.attestations import Kind, attestations
from artifacts.supply.modelpack import ARTIFACT_TYPE
from registry_api.db.session import EVERY_TENANT
from registry_api.images.fetching import fetch_image, verify_fetched
from registry_api.signing.cosigning import FEATURE
from registry_api.tenancy.repository import TenantRepository
from tests.integration.registry_api.images.jobs.works import Works

LAYERS = ["base", "dependencies", "code", "release", "model"]


async def _bytes(works: Works, path: str, **headers: str) -> Any:
    return await works.api.http.get(f"/api/v1{path}", headers=headers)


async def test_an_image_is_made_signed_stored_and_fetched_again(works_of_each: Works, tmp_path: Path) -> None:
    """From a Bento to an image in the tenant's blobs: what is fetched is a layout that passes every check."""
    works = works_of_each
    async with works.working():
        build = await works.build()
        image = await works.image(build)
    assert image["state"] == "succeeded", image
    assert (image["builder"], image["platform"], image["model"]) == ("layers", "linux/amd64", "digits")
    assert [layer["name"] for layer in image["layers"]] == LAYERS
    assert image["compressed_bytes"] == sum(layer["size"] for layer in image["layers"])
    assert image == (await works.api.ok("GET", "/images"))["items"][0]
    made = await works.made_image(image["id"])
    assert await works.needed(made) == [{blob.digest for blob in made.blobs}] * 3
    assert await works.kept() > made.compressed_bytes
    layout = await fetch_image(works.api.platform.store, "default", made, tmp_path / "fetched")
    verifier = BundleVerifier(works.api.platform.keys.policy("default"), works.api.platform.clock)
    verified = verify_fetched(layout, made, verifier, Subject(tenant="default", model="digits", version=1))
    assert (verified.image, verified.provenance.invocation) == (image["digest"], image["job_id"])
    log = await works.log(image["job_id"])
    assert "builder layers" in log
    assert f"layer model {image['layers'][4]['size']} bytes" in log
    (pack,) = [entry.digest for entry in layout.index().manifests if entry.artifact_type == ARTIFACT_TYPE]
    assert f"model as a ModelPack artifact {pack}" in log
    assert works.scratch == []


async def test_index_and_blobs_are_the_images_layout(works: Works, tmp_path: Path) -> None:
    """Whoever downloads the index and every blob it leads to has the image; each blob has its digest, from anywhere."""
    image = works.made
    path = f"/images/{image['id']}"
    index = await _bytes(works, f"{path}/index")
    assert index.headers["etag"] == f'"{digest_bytes(index.content)}"'
    layout = Layout.create(tmp_path / "layout")
    (layout.root / "index.json").write_bytes(index.content)
    blobs = layout.root / "blobs" / "sha256"

    async def take(digest: str) -> None:
        reply = await _bytes(works, f"{path}/blobs/{digest}")
        assert (reply.status_code, digest_bytes(reply.content)) == (200, digest)
        (blobs / digest.removeprefix("sha256:")).write_bytes(reply.content)

    for entry in layout.index().manifests:
        await take(entry.digest)
        for blob in layout.manifest(entry).blobs:
            await take(blob.digest)
    assert image["digest"] in {entry.digest for entry in layout.index().manifests}
    layer = image["layers"][0]
    rest = await _bytes(works, f"{path}/blobs/{layer['digest']}", Range="bytes=10-")
    whole = (blobs / layer["digest"].removeprefix("sha256:")).read_bytes()
    assert (rest.status_code, rest.content) == (206, whole[10:])
    assert rest.headers["content-range"] == f"bytes 10-{layer['size'] - 1}/{layer['size']}"
    for ignored in (f"bytes={layer['size']}-", "bytes=-5", "bytes=0-", "pages=1-"):
        reply = await _bytes(works, f"{path}/blobs/{layer['digest']}", Range=ignored)
        assert (reply.status_code, reply.content) == (200, whole), ignored
    other = digest_bytes(b"not of this image")
    assert await works.api.refused("GET", f"{path}/blobs/{other}") == (404, "STORE_002")


async def test_the_next_version_uploads_only_what_differs(works: Works) -> None:
    """A new model on the same packages: all but the model is stored already, and the packages come from the cache."""
    first = works.made
    async with works.working():
        second = await works.image(await works.build(seed=2))
    same = {
        one["name"]
        for one, two in zip(first["layers"], second["layers"], strict=True)
        if one["digest"] == two["digest"]
    }
    assert same == {"base", "dependencies", "code", "release"}
    assert [layer["cached"] for layer in second["layers"]] == [False, True, False, False, False]
    shared = sum(layer["size"] for layer in first["layers"] if layer["name"] in same)
    log = await works.log(second["job_id"])
    sent, total = (int(word) for word in log.split("uploaded ")[1].split(" bytes")[0].split(" of "))
    print(f"\nuploaded {sent} of {total} bytes")
    assert sent <= total - shared


async def test_two_builds_of_one_bento_are_the_same_image(works: Works) -> None:
    """The builder ``layers`` is reproducible through the job too: one digest, two signed descriptions."""
    first = works.made
    async with works.working():
        second = await works.image(works.built)
    assert first["digest"] == second["digest"]
    assert first["id"] != second["id"]


async def test_a_tenant_with_the_feature_gets_a_second_signature(works: Works, tmp_path: Path) -> None:
    """By its P-256 key, for tools that know no Ed25519; the image itself is the same."""
    platform = works.api.platform
    async with platform.db.write(EVERY_TENANT) as session:
        await TenantRepository(session).set_features("default", {FEATURE: True})
    async with works.working():
        image = await works.image(works.built)
    made = await works.made_image(image["id"])
    layout = await fetch_image(platform.store, "default", made, tmp_path / "fetched")
    assert image["digest"] == works.made["digest"]
    assert len(list(attestations(layout, made.digest, Kind.SIGNATURE))) == 2


async def test_lineage_leads_from_the_version_to_the_image(works: Works) -> None:
    """version -> bento -> image, with the image's digest."""
    build, image = works.built, works.made
    graph = await works.api.ok("GET", "/models/digits/versions/1/lineage")
    node = next(node for node in graph["nodes"] if node["kind"] == "image")
    assert (node["name"], node["digest"], node["state"]) == (image["id"], image["digest"], "succeeded")
    assert {"source": f"bento:{build['id']}", "target": node["id"], "relation": "packed"} in graph["edges"]
