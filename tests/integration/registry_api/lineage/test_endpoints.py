# SPDX-License-Identifier: Apache-2.0
"""The lineage graph over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import insert, select

from artifacts.digest import Digest, digest_bytes
from artifacts.manifest import FileEntry, Manifest
from registry_api.lineage.service import MAX_BACK
from registry_api.models.rows import version_row
from registry_api.models.tables import ModelRow, VariantRow, VersionRow
from registry_api.models.transfer import upload_bytes
from registry_api.models.values import Stage, Variant, Version
from tests.integration.registry_api.rest import Api, tiny_onnx

AT = datetime(2026, 1, 31, tzinfo=UTC)


async def test_a_version_alone_is_a_graph_of_one_node(api: Api) -> None:
    """Its digest and stage are in it; unknown versions and other tenants' are 404."""
    await api.ok("POST", "/models", json={"name": "digits"})
    version = await api.push("digits", {"model.onnx": tiny_onnx()})
    graph = await api.ok("GET", "/models/digits/versions/1/lineage")
    assert (graph["root"], graph["edges"], graph["truncated"]) == ("version:digits@1", [], False)
    assert [(node["digest"], node["state"]) for node in graph["nodes"]] == [(version["digest"], "DEVELOPMENT")]
    assert await api.refused("GET", "/models/digits/versions/2/lineage") == (404, "MODEL_001")
    await api.ok("POST", "/tenants", json={"name": "acme"})
    foreign = {"X-API-Key": await api.key("viewer", tenant="acme")}
    assert await api.refused("GET", "/models/digits/versions/1/lineage", headers=foreign) == (404, "MODEL_001")


async def test_what_was_made_of_a_version_is_drawn(api: Api) -> None:
    """A quantized form from its converted one, a tuning, a build; states are those of their jobs."""
    await api.ok("POST", "/models", json={"name": "digits"})
    source = (await api.push("digits", {"model.onnx": tiny_onnx()}))["digest"]
    fp16 = await _form(api, "onnx-fp16/cpu", parent=source)
    int8 = await _form(api, "onnx-int8/cpu", parent=fp16)
    build = (await api.ok("POST", "/builds", json={"model": "digits", "version": 1}))["id"]
    tuning = (await api.ok("POST", "/tunings", json={"model": "digits", "version": 1, "variant": "onnx-int8/cpu"}))[
        "id"
    ]
    graph = await api.ok("GET", "/models/digits/versions/1/lineage")
    assert {(edge["source"], edge["target"], edge["relation"]) for edge in graph["edges"]} == {
        ("version:digits@1", "variant:digits@1/onnx-fp16/cpu", "derived"),
        ("variant:digits@1/onnx-fp16/cpu", "variant:digits@1/onnx-int8/cpu", "derived"),
        ("version:digits@1", f"bento:{build}", "packed"),
        ("variant:digits@1/onnx-int8/cpu", f"tuning:{tuning}", "measured"),
    }
    nodes = {node["id"]: node for node in graph["nodes"]}
    assert nodes["variant:digits@1/onnx-int8/cpu"]["digest"] == int8
    assert nodes[f"bento:{build}"]["state"] == "queued"


async def test_parents_are_followed_back_and_only_so_far(api: Api) -> None:
    """Over versions of other models; a chain longer than allowed is cut and says so."""
    await api.ok("POST", "/models", json={"name": "m0"})
    parent: Digest = (await api.push("m0", {"model.onnx": tiny_onnx()}))["digest"]
    for number in range(1, MAX_BACK + 2):
        parent = await _child(api, f"m{number}", parent)
    near = await api.ok("GET", "/models/m2/versions/1/lineage")
    assert ([node["name"] for node in near["nodes"]], near["truncated"]) == (["m2@1", "m1@1", "m0@1"], False)
    far = await api.ok("GET", f"/models/m{MAX_BACK + 1}/versions/1/lineage")
    assert (len(far["nodes"]), far["truncated"]) == (MAX_BACK + 1, True)


async def test_a_parent_the_tenant_does_not_hold_is_unknown(api: Api) -> None:
    """It is shown by its digest alone, also when another tenant holds it."""
    await api.ok("POST", "/tenants", json={"name": "acme"})
    headers = {"X-API-Key": await api.key("developer", tenant="acme")}
    await api.ok("POST", "/models", json={"name": "base"}, headers=headers)
    foreign = digest_bytes(b"whatever acme has")
    await api.ok("POST", "/models", json={"name": "m0"})
    await api.push("m0", {"model.onnx": tiny_onnx()})
    await _child(api, "tuned", foreign)
    graph = await api.ok("GET", "/models/tuned/versions/1/lineage")
    assert [(node["kind"], node["digest"]) for node in graph["nodes"][1:]] == [("unknown", foreign)]


async def _child(api: Api, model: str, parent: Digest) -> Digest:
    """A version of a new model whose manifest names a parent; its digest."""
    await api.ok("POST", "/models", json={"name": model})
    digest = await _manifest(api, model, "onnx-fp32/cpu", parent)
    async with api.platform.db.write("default") as session:
        model_id = await session.scalar(select(ModelRow.id).where(ModelRow.name == model))
        assert model_id is not None
        session.add(version_row(_version(model, digest), model_id, "k"))
    return digest


async def _form(api: Api, name: str, *, parent: Digest) -> Digest:
    """Another form of ``digits@1``, as a conversion will leave it; its digest."""
    digest = await _manifest(api, "digits", name, parent)
    async with api.platform.db.write("default") as session:
        version_id = await session.scalar(select(VersionRow.id).where(VersionRow.version == 1))
        await session.execute(
            insert(VariantRow).values(
                tenant="default",
                version_id=version_id,
                name=name,
                format="onnx",
                precision="int8",
                device="cpu",
                digest=digest,
                signature_digest=digest,
                key_id="k",
                size=1,
                source=False,
                created_at=AT,
            )
        )
    return digest


async def _manifest(api: Api, model: str, variant: str, parent: Digest) -> Digest:
    manifest = Manifest(
        kind="model",
        tenant="default",
        model=model,
        version=1,
        variant=variant,
        format="onnx",
        files=(FileEntry(path="model.onnx", size=1, digest=digest_bytes(b"x")),),
        parent=parent,
        producer="test",
        created_at=AT,
        metadata={},
    )
    return await upload_bytes(api.platform.store, "default", manifest.to_bytes())


def _version(model: str, digest: Digest) -> Version:
    signed = {"format": "onnx", "digest": digest, "signature_digest": digest, "key_id": "k", "size": 1}
    source = Variant(name="onnx-fp32/cpu", precision="fp32", device="cpu", source=True, **signed)  # type: ignore[arg-type]
    return Version(
        tenant="default",
        model=model,
        version=1,
        stage=Stage.DEVELOPMENT,
        files=(),
        inputs=(),
        outputs=(),
        metadata={},
        created_at=AT,
        created_by="test",
        variants=(source,),
        **signed,  # type: ignore[arg-type]
    )
