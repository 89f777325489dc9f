# SPDX-License-Identifier: Apache-2.0
"""Models and versions over HTTP."""

from __future__ import annotations

from tests.integration.registry_api.rest import Api, tiny_onnx


async def test_a_new_model_has_no_versions(api: Api) -> None:
    """It shows what was given; latest and production are null; resolving it is 404."""
    made = await api.ok("POST", "/models", json={"name": "digits", "description": "8x8", "tags": ["vision"]})
    assert (made["tenant"], made["name"], made["description"], made["tags"]) == ("default", "digits", "8x8", ["vision"])
    assert (made["latest_version"], made["production_version"]) == (None, None)
    assert await api.ok("GET", "/models/digits") == made
    assert await api.refused("GET", "/models/digits/resolve") == (404, "MODEL_001")


async def test_a_name_can_be_taken_once_per_tenant(api: Api) -> None:
    """409 MODEL_004 in the same tenant; another tenant may use it."""
    await api.ok("POST", "/models", json={"name": "digits"})
    assert await api.refused("POST", "/models", json={"name": "digits"}) == (409, "MODEL_004")
    await api.ok("POST", "/tenants", json={"name": "acme"})
    headers = {"X-API-Key": await api.key("developer", tenant="acme")}
    assert (await api.ok("POST", "/models", json={"name": "digits"}, headers=headers))["tenant"] == "acme"


async def test_lists_are_walked_by_cursor_without_gaps_or_twins(api: Api) -> None:
    """Pages of three over seven models; the last page has no cursor."""
    names = [f"m{at}" for at in range(7)]
    for name in reversed(names):
        await api.ok("POST", "/models", json={"name": name})
    seen, cursor, sizes = [], "", []
    while cursor is not None:
        page = await api.ok("GET", "/models?limit=3" + (f"&cursor={cursor}" if cursor else ""))
        seen += [item["name"] for item in page["items"]]
        sizes.append(len(page["items"]))
        cursor = page["next_cursor"]
    assert (seen, sizes) == (names, [3, 3, 1])


async def test_a_cursor_of_another_list_is_refused(api: Api) -> None:
    """422 VALID_002, not an empty page."""
    for name in ("a", "b"):
        await api.ok("POST", "/models", json={"name": name})
    cursor = (await api.ok("GET", "/models?limit=1"))["next_cursor"]
    assert await api.refused("GET", f"/models/a/versions?cursor={cursor}") == (422, "VALID_002")
    assert await api.refused("GET", "/models?cursor=nonsense") == (422, "VALID_002")


async def test_resolve_prefers_the_named_version_then_production_then_the_newest(api: Api) -> None:
    """Three answers of the same route."""
    await api.ok("POST", "/models", json={"name": "digits"})
    for seed in range(3):
        await api.push("digits", {"model.onnx": tiny_onnx(), "note.txt": b"%d" % seed})
    assert (await api.ok("GET", "/models/digits/resolve"))["version"] == 3
    for stage in ("STAGING", "PRODUCTION"):
        await api.ok("PUT", "/models/digits/versions/2/stage", json={"stage": stage, "reason": "test"})
    assert (await api.ok("GET", "/models/digits/resolve"))["version"] == 2
    assert (await api.ok("GET", "/models/digits/resolve?version=1"))["version"] == 1
    assert await api.refused("GET", "/models/digits/resolve?version=4") == (404, "MODEL_001")


async def test_another_tenants_resources_are_not_there(api: Api) -> None:
    """Every read and write of a model, version or upload of another tenant is 404, whatever the roles."""
    await api.ok("POST", "/models", json={"name": "digits"})
    files = {"model.onnx": tiny_onnx()}
    await api.push("digits", files)
    upload = await api.declare("digits", {"model.onnx": tiny_onnx(1)})
    await api.ok("POST", "/tenants", json={"name": "acme"})
    headers = {"X-API-Key": await api.key("tenant-admin", tenant="acme")}
    body = {"files": [{"path": "model.onnx", "size": 1, "digest": "sha256:" + "0" * 64}]}
    routes = [
        ("GET", "/models/digits", None),
        ("GET", "/models/digits/versions", None),
        ("GET", "/models/digits/versions/1", None),
        ("GET", "/models/digits/resolve", None),
        ("GET", "/models/digits/versions/1/manifest", None),
        ("GET", "/models/digits/versions/1/signature", None),
        ("GET", "/models/digits/versions/1/files/model.onnx", None),
        ("GET", "/models/digits/history", None),
        ("PUT", "/models/digits/versions/1/stage", {"stage": "STAGING", "reason": "test"}),
        ("POST", "/models/digits/uploads", body),
        ("GET", f"/uploads/{upload}", None),
        ("POST", f"/uploads/{upload}/complete", None),
        ("DELETE", f"/uploads/{upload}", None),
    ]
    for method, path, content in routes:
        status, code = await api.refused(method, path, json=content, headers=headers)
        assert (status, code) in {(404, "MODEL_001"), (404, "UPLOAD_001")}, path
    put = await api.refused("PUT", f"/uploads/{upload}/files/model.onnx", content=b"x", headers=headers)
    assert put == (404, "UPLOAD_001")
    assert (await api.ok("GET", "/models", headers=headers))["items"] == []


async def test_a_damaged_blob_is_reported_not_served(api: Api) -> None:
    """A flipped byte of the stored manifest is STORE_003."""
    await api.ok("POST", "/models", json={"name": "digits"})
    version = await api.push("digits", {"model.onnx": tiny_onnx()})
    api.damage(version["digest"])
    assert await api.refused("GET", "/models/digits/versions/1/manifest") == (500, "STORE_003")
