# SPDX-License-Identifier: Apache-2.0
"""Rotation, revocation and co-signatures over HTTP, with keys in files and with keys in a real OpenBao."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from artifacts.secrets.testing import vault_settings
from artifacts.signing.policy import Subject, TrustPolicy
from artifacts.signing.verifier import BundleVerifier
from core.clock import SystemClock
from deploy.local.components.openbao import OpenBao
from furoshiki import AsyncClient
from registry_api.settings.registry import KeySettings
from tests.integration.registry_api.rest import BASE, Api, open_api, tiny_onnx

REASON = {"reason": "because"}


def sections(custody: str, openbao: OpenBao, **keys: Any) -> dict[str, Any]:
    """Settings with keys in files or in OpenBao, there under a prefix of their own."""
    if custody == "file":
        return {"keys": KeySettings(**keys)}
    settings = KeySettings(provider="vault", prefix=f"test-{uuid4().hex[:8]}", **keys)
    return {"keys": settings, "vault": vault_settings(openbao.address, openbao.token)}


@pytest.fixture(params=["file", "vault"])
async def api(request: pytest.FixtureRequest, tmp_path: Path, openbao: OpenBao) -> AsyncIterator[Api]:
    async with open_api(tmp_path / "home", **sections(request.param, openbao, co_sign=True)) as api:
        key = await api.key("tenant-admin")
        api.http.headers["X-API-Key"] = key
        await api.ok("POST", "/models", json={"name": "digits"})
        yield api


async def policy(api: Api) -> TrustPolicy:
    response = await api.http.get("/api/v1/trust")
    return TrustPolicy.from_bytes(response.content)


async def verify(api: Api, version: int) -> str:
    """The id of the key that signed a version, if it verifies under the policy as it is now."""
    root = f"/api/v1/models/digits/versions/{version}"
    manifest, signature = [(await api.http.get(f"{root}/{part}")).content for part in ("manifest", "signature")]
    verifier = BundleVerifier(await policy(api), SystemClock())
    verifier.verify_manifest(manifest, signature, subject=Subject(tenant="default", model="digits", version=version))
    return verifier.verify_envelope(signature).key_id


async def told(api: Api) -> list[str]:
    return [entry["action"] for entry in (await api.ok("GET", "/audit?limit=50"))["items"]]


async def test_rotation_overlaps(api: Api) -> None:
    """The new key signs at once; the old one is trusted until the end of the overlap; both are listed."""
    first = await api.push("digits", {"model.onnx": tiny_onnx(1)})
    keys = (await api.ok("POST", "/signing/rotate", json={"overlap_days": 30, **REASON}))["items"]
    second = await api.push("digits", {"model.onnx": tiny_onnx(2)})
    assert [key["key_id"] for key in keys] == [second["key_id"], first["key_id"]]
    assert [(key["signs"], key["trusted"], key["revoked"]) for key in keys] == [
        (True, True, False),
        (False, True, False),
    ]
    assert keys == (await api.ok("GET", "/signing/keys"))["items"]
    assert (await verify(api, 1), await verify(api, 2)) == (first["key_id"], second["key_id"])
    now = await policy(api)
    assert now.keys[0].not_after is not None
    assert timedelta(days=29) < now.keys[0].not_after - api.platform.clock.now() < timedelta(days=31)


async def test_a_revoked_key_and_what_follows(api: Api) -> None:
    """Nothing the key signed verifies; a push is refused with a cure; after a rotation all is well."""
    first = await api.push("digits", {"model.onnx": tiny_onnx(1)})
    done = await api.ok("POST", "/signing/revoke", json={"key_id": first["key_id"], **REASON})
    assert (done["kind"], done["id"]) == ("key", first["key_id"])
    assert (await policy(api)).serial == done["serial"]
    assert await api.refused("GET", "/models/digits/versions/1/co-signature") == (422, "SIGN_009")
    upload = await api.declare("digits", {"model.onnx": tiny_onnx(2)})
    await api.send(upload, {"model.onnx": tiny_onnx(2)})
    assert await api.refused("POST", f"/uploads/{upload}/complete") == (409, "STATE_001")
    keys = (await api.ok("POST", "/signing/rotate", json=REASON))["items"]
    assert [(key["signs"], key["trusted"], key["revoked"]) for key in keys] == [
        (True, True, False),
        (False, False, True),
    ]
    second = await api.ok("POST", f"/uploads/{upload}/complete")
    assert await verify(api, 2) == second["key_id"] == keys[0]["key_id"]


async def test_revoking_a_version(api: Api) -> None:
    """By name or by digest; it is in the policy, saying it twice changes nothing, and another version is not touched."""
    first = await api.push("digits", {"model.onnx": tiny_onnx(1)})
    second = await api.push("digits", {"model.onnx": tiny_onnx(2)})
    done = await api.ok("POST", "/signing/revoke", json={"version": {"model": "digits", "version": 1}, **REASON})
    assert (done["kind"], done["id"]) == ("digest", first["digest"])
    again = await api.ok("POST", "/signing/revoke", json={"digest": first["digest"], **REASON})
    assert again == done
    assert (await policy(api)).revoked_digests == {first["digest"]}
    assert await verify(api, 2) == second["key_id"]


async def test_history_and_events(api: Api) -> None:
    """Rotation and revocation are in the tenant's history, with reason and subject."""
    version = await api.push("digits", {"model.onnx": tiny_onnx(1)})
    await api.ok("POST", "/signing/rotate", json=REASON)
    await api.ok("POST", "/signing/revoke", json={"version": {"model": "digits", "version": 1}, **REASON})
    await api.ok("POST", "/signing/revoke", json={"key_id": version["key_id"], **REASON})
    assert {"signing.rotated", "version.revoked", "signing.key_revoked"} <= set(await told(api))


async def test_wrong_revocations_are_refused(api: Api) -> None:
    """Nothing or two things at once, what does not exist, and malformed names."""
    digest = "sha256:" + "0" * 64
    for body in ({}, {"digest": digest, "key_id": "0" * 64}, {"digest": "0" * 64}, {"key_id": "x"}):
        assert await api.refused("POST", "/signing/revoke", json={**body, **REASON}) == (422, "VALID_002")
    assert await api.refused("POST", "/signing/revoke", json={"key_id": "0" * 64, **REASON}) == (404, "KEY_001")
    unknown = {"version": {"model": "digits", "version": 9}}
    assert await api.refused("POST", "/signing/revoke", json={**unknown, **REASON}) == (404, "MODEL_001")
    assert await api.refused("POST", "/signing/rotate", json={"overlap_days": -1, **REASON}) == (422, "VALID_002")


async def test_who_may(api: Api) -> None:
    """A developer reads keys and neither rotates nor revokes."""
    headers = {"X-API-Key": await api.key("developer")}
    await api.ok("GET", "/signing/keys", headers=headers)
    assert await api.refused("POST", "/signing/rotate", json=REASON, headers=headers) == (403, "AUTH_003")
    body = {"key_id": "0" * 64, **REASON}
    assert await api.refused("POST", "/signing/revoke", json=body, headers=headers) == (403, "AUTH_003")


def reference(folder: Path, signature: Path, public: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(folder)]
    command += ["--signature", str(signature), "--public_key", str(public)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


async def test_the_reference_tool_accepts_a_co_signature(api: Api, tmp_path: Path) -> None:
    """``model_signing verify key`` accepts what the SDK downloads, and refuses it after one byte changed."""
    await api.push("digits", {"model.onnx": tiny_onnx(1), "labels/names.txt": b"zero\none\n"})
    folder, signature, public = tmp_path / "bundle", tmp_path / "p256.sig", tmp_path / "p256.pem"
    key = api.http.headers["X-API-Key"]
    async with AsyncClient(BASE, api_key=key, transport=api.http._transport) as client:
        await client.versions.download("digits", 1, folder)
        signature.write_bytes(await client.signing.co_signature("digits", 1))
        public.write_bytes(await client.signing.p256_key())
    good = await asyncio.to_thread(reference, folder, signature, public)
    assert (good.returncode, "Verification succeeded" in good.stdout) == (0, True), good.stderr
    (folder / "labels" / "names.txt").write_bytes(b"zero\nONE\n")
    assert (await asyncio.to_thread(reference, folder, signature, public)).returncode != 0


async def test_a_co_signature_is_no_signature_of_ours(api: Api) -> None:
    """Our own verifier refuses a co-signature: its key is in no policy."""
    await api.push("digits", {"model.onnx": tiny_onnx(1)})
    co_signature = (await api.http.get("/api/v1/models/digits/versions/1/co-signature")).content
    verifier = BundleVerifier(await policy(api), SystemClock())
    with pytest.raises(Exception, match="SIGN_003"):
        verifier.verify_envelope(co_signature)


async def test_co_signatures_are_asked_for(tmp_path: Path, openbao: OpenBao) -> None:
    """Off by default; the platform's administrator switches them on for a tenant."""
    async with open_api(tmp_path / "home", **sections("file", openbao)) as api:
        assert await api.refused("GET", "/signing/p256") == (403, "AUTH_003")
        await api.ok("PUT", "/tenants/default/features", json={"features": {"signing.p256": True}})
        assert (await api.http.get("/api/v1/signing/p256")).text.startswith("-----BEGIN PUBLIC KEY-----")


@pytest.mark.fault("Vault sealed or killed")
async def test_vault_sealed_under_a_running_registry(tmp_path: Path, openbao: OpenBao) -> None:
    """Sealed: what is registered is served and its policy too; a push is 503 and completes after the unsealing."""
    async with open_api(tmp_path / "home", **sections("vault", openbao)) as api:
        await api.ok("POST", "/models", json={"name": "digits"})
        await api.push("digits", {"model.onnx": tiny_onnx(1)})
        upload = await api.declare("digits", {"model.onnx": tiny_onnx(2)})
        await api.send(upload, {"model.onnx": tiny_onnx(2)})
        openbao.seal()
        try:
            assert await verify(api, 1)
            assert await api.refused("POST", f"/uploads/{upload}/complete") == (503, "STORE_001")
            assert await api.refused("POST", "/signing/rotate", json=REASON) == (503, "STORE_001")
            assert await api.versions("digits") == [1]
        finally:
            openbao.unseal()
        assert (await api.ok("POST", f"/uploads/{upload}/complete"))["version"] == 2
