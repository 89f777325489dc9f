# SPDX-License-Identifier: Apache-2.0
"""From declared files to a signed version, through the HTTP application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from artifacts.manifest import Manifest
from artifacts.signing.policy import Subject, TrustPolicy
from artifacts.signing.verifier import BundleVerifier
from artifacts.stores.interface import BlobStore
from core.clock import SystemClock
from core.errors import ErrorCode, Unavailable
from registry_api.bootstrap.platform import inspection_limits
from registry_api.http.access import Role
from registry_api.http.auth import Principal
from registry_api.models.uploads.inspection import ModelInspector
from registry_api.models.uploads.registration import Registrar
from registry_api.models.uploads.service import UploadService
from tests.integration.registry_api.rest import Api, declared, digest_of, open_api, split_onnx, tiny_onnx

MODEL = tiny_onnx()


class FullStore:
    """A real store that takes ``puts_left`` more blobs and then has no room."""

    def __init__(self, store: BlobStore, *, puts_left: int) -> None:
        self._store = store
        self._puts_left = puts_left
        self.read, self.stream, self.lend = store.read, store.stream, store.lend
        self.size, self.delete = store.size, store.delete

    async def put(self, tenant: str, chunks: AsyncIterator[bytes], *, digest: str, size: int) -> None:
        if self._puts_left == 0:
            raise Unavailable(ErrorCode.STORE_FULL, "The blob store has no room.")
        self._puts_left -= 1
        await self._store.put(tenant, chunks, digest=digest, size=size)


FILES = {"model.onnx": MODEL, "labels/en.txt": b"a\nb\nc\n"}


@pytest.fixture
async def digits(api: Api) -> Api:
    await api.ok("POST", "/models", json={"name": "digits"})
    return api


async def test_a_pushed_model_becomes_version_one_with_its_signature_read_from_the_runtime(digits: Api) -> None:
    """The version shows files, inputs, outputs and one source variant."""
    version = await digits.push("digits", FILES, metadata={"framework": "none"})
    assert (version["version"], version["stage"], version["format"]) == (1, "DEVELOPMENT", "onnx")
    assert version["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    assert version["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}]
    assert {file["path"]: file["digest"] for file in version["files"]} == {p: digest_of(d) for p, d in FILES.items()}
    assert version["size"] == sum(map(len, FILES.values()))
    assert version["metadata"] == {"framework": "none"}
    (variant,) = version["variants"]
    assert (variant["name"], variant["source"], variant["digest"]) == ("onnx-fp32/cpu", True, version["digest"])
    assert version["created_by"] == "first admin"
    assert await digits.ok("GET", "/models/digits/versions/1") == version
    assert (await digits.ok("GET", "/models/digits"))["latest_version"] == 1


async def test_what_is_downloaded_verifies_offline_against_the_trust_policy(digits: Api) -> None:
    """Manifest, signature and policy from three routes fit together, and files come back byte for byte."""
    version = await digits.push("digits", FILES)
    at = "/api/v1/models/digits/versions/1"
    manifest = (await digits.http.get(f"{at}/manifest")).content
    signature = (await digits.http.get(f"{at}/signature")).content
    policy = TrustPolicy.from_bytes((await digits.http.get("/api/v1/trust")).content)
    verified = BundleVerifier(policy, SystemClock()).verify_manifest(
        manifest, signature, subject=Subject(tenant="default", model="digits", version=1)
    )
    assert verified == Manifest.from_bytes(manifest)
    assert (verified.digest, version["key_id"]) == (version["digest"], policy.keys[0].key_id)
    for path, data in FILES.items():
        response = await digits.http.get(f"{at}/files/{path}")
        assert response.content == data
        assert response.headers["etag"] == f'"{digest_of(data)}"'


async def test_sixty_four_registrations_at_once_give_versions_one_to_sixty_four(digits: Api) -> None:
    """Numbers have no gaps and no twins, and every manifest carries its own number."""

    async def register(at: int) -> int:
        return int((await digits.push("digits", FILES, metadata={"note": f"{at}"}))["version"])

    numbers = await asyncio.gather(*(register(at) for at in range(64)))
    assert sorted(numbers) == list(range(1, 65))
    assert await digits.versions("digits") == list(range(64, 0, -1))
    for number in (1, 33, 64):
        data = (await digits.http.get(f"/api/v1/models/digits/versions/{number}/manifest")).content
        assert Manifest.from_bytes(data).version == number


async def test_completing_twice_even_at_once_gives_one_version(digits: Api) -> None:
    """Eight callers who complete the same upload all get version 1."""
    upload = await digits.declare("digits", FILES)
    await digits.send(upload, FILES)
    answers = await asyncio.gather(*(digits.ok("POST", f"/uploads/{upload}/complete") for _ in range(8)))
    assert {answer["version"] for answer in answers} == {1}
    assert await digits.versions("digits") == [1]
    shown = await digits.ok("GET", f"/uploads/{upload}")
    assert (shown["state"], shown["version"]) == ("completed", 1)


async def test_a_corrupt_model_is_refused_with_the_runtimes_reason_and_registers_nothing(digits: Api) -> None:
    """422 MODEL_003; the number is not used up."""
    broken = {"model.onnx": MODEL[: len(MODEL) // 2]}
    upload = await digits.declare("digits", broken)
    await digits.send(upload, broken)
    response = await digits.http.post(f"/api/v1/uploads/{upload}/complete")
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["retryable"]) == (422, "MODEL_003", False)
    assert "model.onnx" in error["message"]
    assert len(error["message"]) > len("File 'model.onnx' cannot be used: .")
    assert await digits.versions("digits") == []
    assert (await digits.push("digits", FILES))["version"] == 1


async def test_an_upload_with_missing_files_is_not_complete(digits: Api) -> None:
    """409 UPLOAD_002 names what is missing; GET shows what arrived."""
    upload = await digits.declare("digits", FILES)
    await digits.send(upload, {"model.onnx": MODEL})
    response = await digits.http.post(f"/api/v1/uploads/{upload}/complete")
    assert (response.status_code, response.json()["error"]["code"]) == (409, "UPLOAD_002")
    assert response.json()["error"]["details"]["missing"] == ["labels/en.txt"]
    shown = await digits.ok("GET", f"/uploads/{upload}")
    assert {file["path"]: file["received"] for file in shown["files"]} == {"model.onnx": True, "labels/en.txt": False}


async def test_files_the_tenant_already_has_need_not_be_sent(digits: Api) -> None:
    """A second upload of the same bytes is received at once and can be completed."""
    await digits.push("digits", FILES)
    second = await digits.ok("POST", "/models/digits/uploads", json={"files": declared(FILES)})
    assert [file["received"] for file in second["files"]] == [True, True]
    assert (await digits.ok("POST", f"/uploads/{second['id']}/complete"))["version"] == 2


async def test_bytes_of_another_tenant_do_not_count_as_received(digits: Api) -> None:
    """Nobody can learn from an upload whether somebody else has a file."""
    await digits.push("digits", FILES)
    await digits.ok("POST", "/tenants", json={"name": "acme"})
    headers = {"X-API-Key": await digits.key("developer", tenant="acme")}
    await digits.ok("POST", "/models", json={"name": "digits"}, headers=headers)
    upload = await digits.ok("POST", "/models/digits/uploads", json={"files": declared(FILES)}, headers=headers)
    assert [file["received"] for file in upload["files"]] == [False, False]


async def test_wrong_bytes_are_refused_and_leave_nothing_visible(digits: Api) -> None:
    """Another digest is SIGN_004, fewer or more bytes than declared VALID_008 or VALID_003."""
    upload = await digits.declare("digits", FILES)
    at = f"/uploads/{upload}/files/model.onnx"

    async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    assert await digits.refused("PUT", at, content=bytes(len(MODEL))) == (422, "SIGN_004")
    assert await digits.refused("PUT", at, content=MODEL[:-1]) == (400, "VALID_008")
    assert await digits.refused("PUT", at, content=MODEL + b"x") == (413, "VALID_003")
    assert await digits.refused("PUT", at, content=pieces(MODEL[:-1])) == (400, "VALID_008")
    assert await digits.refused("PUT", at, content=pieces(MODEL, b"x")) == (413, "VALID_003")
    shown = await digits.ok("GET", f"/uploads/{upload}")
    assert not any(file["received"] for file in shown["files"])
    assert await digits.ok("PUT", at, content=MODEL) == {**declared(FILES)[0], "received": True, "parts": []}


@pytest.mark.fault("disk full")
async def test_a_store_that_is_full_while_completing_registers_nothing(digits: Api, tmp_path: Path) -> None:
    """507 STORE_004 after the manifest but before the signature; no number is lost and completing later works."""
    upload = await digits.declare("digits", FILES)
    await digits.send(upload, FILES)
    store = FullStore(digits.platform.store, puts_left=1)
    registrar = Registrar(
        db=digits.platform.db,
        store=store,
        clock=digits.platform.clock,
        keys=digits.platform.keys,
        uploads=digits.services.get(UploadService),
        inspector=ModelInspector(store, tmp_path / "scratch", inspection_limits(digits.platform.settings)),
    )
    caller = Principal(tenant="default", key_id="k", name="k", roles=frozenset({Role.DEVELOPER}))
    with pytest.raises(Unavailable) as caught:
        await registrar.complete(caller, upload)
    assert caught.value.code is ErrorCode.STORE_FULL
    assert await digits.versions("digits") == []
    assert (await digits.ok("POST", f"/uploads/{upload}/complete"))["version"] == 1


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([("../model.onnx", 1)], (422, "SIGN_007")),
        ([("/etc/model.onnx", 1)], (422, "SIGN_007")),
        ([("model.onnx", 1), ("MODEL.onnx", 1)], (422, "SIGN_007")),
        ([("manifest.json", 1), ("model.onnx", 1)], (422, "SIGN_007")),
        ([("labels.txt", 1)], (422, "MODEL_003")),
        ([("a.onnx", 1), ("b.onnx", 1)], (422, "MODEL_003")),
        ([("a.onnx", 1), ("b.tflite", 1)], (422, "MODEL_003")),
        ([("a.onnx", 1), ("scaler.pkl", 1)], (422, "MODEL_003")),
        ([("model.onnx", 2001)], (413, "VALID_003")),
        ([("model.onnx", 1), ("a", 1), ("b", 1), ("c", 1)], (413, "VALID_003")),
        ([], (422, "VALID_002")),
    ],
)
async def test_declarations_that_break_a_rule_are_refused(
    tmp_path: Path, files: list[tuple[str, int]], expected: tuple[int, str]
) -> None:
    """Unsafe and colliding paths, no or several models, too many or too large files."""
    async with open_api(tmp_path / "home", limits={"upload_bytes": 2000, "upload_files": 3}) as api:
        await api.ok("POST", "/models", json={"name": "digits"})
        body = {"files": [{"path": path, "size": size, "digest": digest_of(b"")} for path, size in files]}
        assert await api.refused("POST", "/models/digits/uploads", json=body) == expected


async def test_an_aborted_upload_takes_nothing_more(digits: Api) -> None:
    """Sending and completing are conflicts; aborting again is fine; a completed upload cannot be aborted."""
    upload = await digits.declare("digits", FILES)
    await digits.ok("DELETE", f"/uploads/{upload}")
    await digits.ok("DELETE", f"/uploads/{upload}")
    assert await digits.refused("PUT", f"/uploads/{upload}/files/model.onnx", content=MODEL) == (409, "STATE_001")
    assert await digits.refused("POST", f"/uploads/{upload}/complete") == (409, "STATE_001")
    done = await digits.declare("digits", FILES)
    await digits.send(done, FILES)
    await digits.ok("POST", f"/uploads/{done}/complete")
    assert await digits.refused("DELETE", f"/uploads/{done}") == (409, "STATE_001")


async def test_open_uploads_of_a_tenant_are_bounded(tmp_path: Path) -> None:
    """One more than the limit is 429 QUOTA_001 with Retry-After."""
    async with open_api(tmp_path / "home", limits={"open_uploads": 1}) as api:
        await api.ok("POST", "/models", json={"name": "digits"})
        await api.declare("digits", FILES)
        response = await api.http.post("/api/v1/models/digits/uploads", json={"files": declared(FILES)})
        assert (response.status_code, response.json()["error"]["code"]) == (429, "QUOTA_001")
        assert response.json()["error"]["retryable"] is True
        assert int(response.headers["retry-after"]) > 0


async def test_a_model_whose_weights_lie_beside_it_becomes_a_version(digits: Api) -> None:
    """The runtime is given both files; without the weights the same model is refused."""
    files = split_onnx("parts/weights.bin")
    alone = {"model.onnx": files["model.onnx"]}
    upload = await digits.declare("digits", alone)
    await digits.send(upload, alone)
    assert await digits.refused("POST", f"/uploads/{upload}/complete") == (422, "MODEL_003")
    version = await digits.push("digits", files)
    assert (version["version"], [file["path"] for file in version["files"]]) == (1, ["model.onnx", "parts/weights.bin"])
    assert version["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]


async def test_files_that_are_too_large_together_to_be_inspected_are_refused_when_declared(tmp_path: Path) -> None:
    """413 VALID_003, before anything is sent."""
    async with open_api(tmp_path / "home", inspection={"copy_bytes": len(MODEL) + 5}) as api:
        await api.ok("POST", "/models", json={"name": "digits"})
        assert await api.refused("POST", "/models/digits/uploads", json={"files": declared(FILES)}) == (
            413,
            "VALID_003",
        )
        assert (await api.push("digits", {"model.onnx": MODEL}))["version"] == 1
