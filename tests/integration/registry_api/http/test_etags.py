# SPDX-License-Identifier: Apache-2.0
"""ETags: what is unchanged is not sent again, what changed meanwhile is not overwritten."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.registry_api.rest import Api, digest_of, tiny_onnx

MODEL = tiny_onnx()


@pytest.fixture
async def digits(api: Api) -> Api:
    """A registry with ``digits@1``."""
    await api.ok("POST", "/models", json={"name": "digits"})
    await api.push("digits", {"model.onnx": MODEL})
    return api


@pytest.mark.parametrize(
    "path",
    [
        "/models",
        "/models/digits",
        "/models/digits/versions/1",
        "/models/digits/resolve",
        "/models/digits/card",
        "/whoami",
    ],
)
async def test_what_the_caller_has_is_not_sent_again(digits: Api, path: str) -> None:
    """Every JSON answer has a strong ETag; with it the answer is 304 without a body, with another one it is whole."""
    first = await digits.http.get(f"/api/v1{path}")
    etag = first.headers["etag"]
    assert etag.startswith('"')
    for names in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        again = await digits.http.get(f"/api/v1{path}", headers={"If-None-Match": names})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        assert "x-request-id" in again.headers
    other = await digits.http.get(f"/api/v1{path}", headers={"If-None-Match": '"x"'})
    assert (other.status_code, other.content) == (200, first.content)


async def test_an_etag_changes_with_what_is_shown(digits: Api) -> None:
    """A description, a new version and another tag are other states; PATCH answers with the new ETag."""
    seen = [(await digits.http.get("/api/v1/models/digits")).headers["etag"]]
    patched = await digits.http.patch("/api/v1/models/digits", json={"description": "x"})
    seen.append(patched.headers["etag"])
    assert (await digits.http.get("/api/v1/models/digits")).headers["etag"] == seen[-1]
    await digits.push("digits", {"model.onnx": MODEL})
    seen.append((await digits.http.get("/api/v1/models/digits")).headers["etag"])
    assert len(set(seen)) == 3


@pytest.mark.parametrize("path", ["/models/digits", "/models/digits/versions/1"])
async def test_nobody_overwrites_what_they_have_not_seen(digits: Api, path: str) -> None:
    """412 STATE_003 for a stale, weak or malformed ETag; the present one, a list with it and a star succeed."""
    etag = (await digits.http.get(f"/api/v1{path}")).headers["etag"]
    for wrong in ('"stale"', f"W/{etag}", "nonsense", ""):
        answer = await digits.refused("PATCH", path, json={"tags": ["a"]}, headers={"If-Match": wrong})
        assert answer == (412, "STATE_003")
    assert (await digits.ok("GET", path))["tags"] == []
    await digits.ok("PATCH", path, json={"tags": ["a"]}, headers={"If-Match": f'"x", {etag}'})
    await digits.ok("PATCH", path, json={"tags": ["b"]}, headers={"If-Match": "*"})
    assert await digits.refused("PATCH", "/models/none", json={}, headers={"If-Match": "*"}) == (404, "MODEL_001")


@pytest.mark.parametrize(("part", "body"), [("limits", {"burst": 5}), ("features", {"features": {"v2.binary": False}})])
async def test_nobody_overwrites_a_tenants_limits_and_features(digits: Api, part: str, body: Any) -> None:
    """Both are checked against the tenant as GET shows it, and answer with its new ETag."""
    path = "/tenants/default"
    etag = (await digits.http.get(f"/api/v1{path}")).headers["etag"]
    changed = await digits.http.put(f"/api/v1{path}/{part}", json=body, headers={"If-Match": etag})
    assert changed.headers["etag"] == (await digits.http.get(f"/api/v1{path}")).headers["etag"] != etag
    stale = {"If-Match": etag}
    assert await digits.refused("PUT", f"{path}/{part}", json=body, headers=stale) == (412, "STATE_003")
    assert await digits.refused("PUT", f"/tenants/none/{part}", json=body, headers=stale) == (404, "TENANT_001")
    assert await digits.ok("PUT", f"{path}/{part}", json=body) == changed.json()


@pytest.mark.parametrize("part", ["files/model.onnx", "manifest", "signature"])
async def test_bytes_that_never_change_may_be_kept_for_ever(digits: Api, part: str) -> None:
    """Their ETag is their digest, they are immutable, and 304 sends nothing."""
    first = await digits.http.get(f"/api/v1/models/digits/versions/1/{part}")
    assert first.headers["etag"] == f'"{digest_of(first.content)}"'
    assert "immutable" in first.headers["cache-control"]
    names = {"If-None-Match": first.headers["etag"]}
    again = await digits.http.get(f"/api/v1/models/digits/versions/1/{part}", headers=names)
    assert (again.status_code, again.content) == (304, b"")


async def test_reserved_and_repeated_tags_are_refused(digits: Api) -> None:
    """422 VALID_002, and nothing is changed."""
    for tags in (["a:1", "a:2"], ["furoshiki.x:1"], [" a"], [":a"], ["x" * 64]):
        assert await digits.refused("PATCH", "/models/digits", json={"tags": tags}) == (422, "VALID_002")
    assert (await digits.ok("GET", "/models/digits"))["tags"] == []


async def test_a_description_leaves_the_bytes_as_they_are(digits: Api) -> None:
    """Digest, signature and files of a version are what they were; an empty PATCH changes nothing at all."""
    before = await digits.ok("GET", "/models/digits/versions/1")
    after = await digits.ok("PATCH", "/models/digits/versions/1", json={"description": "first", "tags": ["tried:yes"]})
    assert after == {**before, "description": "first", "tags": ["tried:yes"]}
    assert await digits.ok("PATCH", "/models/digits/versions/1", json={}) == after
