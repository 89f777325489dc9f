# SPDX-License-Identifier: Apache-2.0
"""The SDK against the real registry: push, list, get, download, verify, stage, keys."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from furoshiki import (
    AsyncClient,
    AuthError,
    Client,
    Conflict,
    InvalidRequest,
    NotFound,
    Progress,
    SignatureRefused,
    TenantLimits,
    verify,
)

PAYLOAD = 6 * 1024 * 1024  # bytes: several chunks of every reader on the way


def test_push_registers_a_signed_version(client: Client, model_file: Path) -> None:
    """A pushed model is inspected, numbered and signed; its signature is what the file says."""
    version = client.models.push("linear", model_file, description="d", tags=["t"], metadata={"accuracy": "0.97"})
    assert (version.ref, version.stage, version.metadata) == ("default/linear@1", "DEVELOPMENT", {"accuracy": "0.97"})
    assert [(tensor.name, tensor.datatype, tensor.shape) for tensor in version.inputs] == [("X", "FP32", (-1, 4))]
    assert [(tensor.name, tensor.shape) for tensor in version.outputs] == [("Y", (-1, 3))]
    assert [variant.name for variant in version.variants] == ["onnx-fp32/cpu"]
    assert client.versions.get("linear", 1) == version
    assert client.versions.resolve("linear") == version
    model = client.models.get("linear")
    assert (model.latest_version, model.production_version, model.tags) == (1, None, ("t",))


def test_download_verifies_offline(client: Client, model_file: Path, tmp_path: Path) -> None:
    """What the registry signed and sends verifies with the SDK's own verifier; one flipped byte is refused."""
    (tmp_path / "m").mkdir()
    model_file.rename(tmp_path / "m/model.onnx")
    (tmp_path / "m/labels é.bin").write_bytes(os.urandom(PAYLOAD))
    (tmp_path / "m/empty").touch()
    told: list[Progress] = []
    version = client.models.push("downloaded", tmp_path / "m", progress=told.append)
    bundle = client.versions.download("downloaded", 1, tmp_path / "out", progress=told.append)
    verified = verify(bundle, client.trust(), model="downloaded", version=1, kind="model")
    assert (verified.digest, verified.key_id) == (version.digest, version.key_id)
    assert (bundle / "labels é.bin").read_bytes() == (tmp_path / "m/labels é.bin").read_bytes()
    assert (bundle / "empty").read_bytes() == b""
    assert {progress.phase for progress in told} == {"hash", "upload", "download"}
    data = bytearray((bundle / "model.onnx").read_bytes())
    data[0] ^= 1
    (bundle / "model.onnx").write_bytes(data)
    with pytest.raises(SignatureRefused, match="SIGN_004"):
        verify(bundle, client.trust())


def test_upload_cut_midway_leaves_nothing_and_can_be_restarted(
    client: Client, model_file: Path, tmp_path: Path
) -> None:
    """A push that dies inside a file registers nothing; pushing again completes it."""
    (tmp_path / "m").mkdir()
    model_file.rename(tmp_path / "m/model.onnx")
    (tmp_path / "m/big.bin").write_bytes(os.urandom(PAYLOAD))

    def die_inside(progress: Progress) -> None:
        if progress.phase == "upload" and 0 < progress.done < PAYLOAD:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.models.push("restarted", tmp_path / "m", progress=die_inside)
    assert list(client.versions.list("restarted")) == []
    assert client.models.push("restarted", tmp_path / "m").version == 1


def test_corrupt_model_is_refused_with_the_runtimes_reason(client: Client, tmp_path: Path) -> None:
    """A file that is no ONNX model is refused, and no version exists."""
    (tmp_path / "model.onnx").write_bytes(b"this is not a model")
    with pytest.raises(InvalidRequest, match="MODEL_003"):
        client.models.push("corrupt", tmp_path / "model.onnx")
    assert client.models.get("corrupt").latest_version is None


def test_concurrent_async_pushes_give_consecutive_versions(registry: Any, client: Client, model_file: Path) -> None:
    """Eight pushes of one model at once become versions 1 to 8."""

    async def push_all() -> list[int]:
        async with AsyncClient(registry.url, inference_url=registry.url, api_key=registry.admin_key) as awaitable:
            pushes = (awaitable.models.push("concurrent", model_file) for _ in range(8))
            return [version.version for version in await asyncio.gather(*pushes)]

    assert sorted(asyncio.run(push_all())) == list(range(1, 9))
    assert [version.version for version in client.versions.list("concurrent")] == list(range(8, 0, -1))


def test_stage_changes_are_remembered(client: Client, model_file: Path) -> None:
    """Stages move as the registry allows, and the history says who, from where, to where and why."""
    client.models.push("staged", model_file)
    with pytest.raises(Conflict, match="STATE_001"):
        client.versions.stage("staged", 1, "PRODUCTION", reason="too early")
    client.versions.stage("staged", 1, "STAGING", reason="candidate")
    assert client.versions.stage("staged", 1, "PRODUCTION", reason="0.97").stage == "PRODUCTION"
    assert client.models.get("staged").production_version == 1
    changes = list(client.models.history("staged"))
    assert [(change.from_stage, change.to_stage, change.reason) for change in changes] == [
        ("STAGING", "PRODUCTION", "0.97"),
        ("DEVELOPMENT", "STAGING", "candidate"),
    ]
    assert {change.actor for change in changes} == {"first admin"}


def test_lists_walk_every_page(client: Client) -> None:
    """A list longer than a page is read to its end, each value once."""
    names = [f"many-{index:03}" for index in range(60)]
    for name in names:
        client.models.create(name)
    listed = [model.name for model in client.models.list()]
    assert [name for name in listed if name.startswith("many-")] == names


def test_keys_limit_what_their_owner_may_do(registry: Any, client: Client) -> None:
    """A key does what its roles say, and nothing once it is revoked."""
    made = client.keys.create("reader", roles=["viewer"])
    with Client(registry.url, inference_url=registry.url, api_key=made.key) as reader:
        assert reader.whoami().roles == ("viewer",)
        with pytest.raises(AuthError, match="AUTH_003") as caught:
            reader.models.create("forbidden")
        assert (caught.value.status, caught.value.retryable) == (403, False)
    assert made.id in {key.id for key in client.keys.list()}
    client.keys.revoke(made.id)
    assert made.id not in {key.id for key in client.keys.list()}


def test_tenants_do_not_see_each_other(registry: Any, client: Client, model_file: Path) -> None:
    """What one tenant pushes does not exist for another; a policy of one trusts nothing of the other."""
    client.tenants.create("globex", display_name="Globex")
    key = client.keys.create("theirs", roles=["tenant-admin"], tenant="globex").key
    client.models.push("private", model_file)
    with Client(registry.url, inference_url=registry.url, api_key=key) as theirs:
        with pytest.raises(NotFound, match="MODEL_001"):
            theirs.models.get("private")
        version = theirs.models.push("private", model_file)
        bundle = theirs.versions.download("private", 1, model_file.parent / "theirs")
        assert version.tenant == "globex"
        with pytest.raises(SignatureRefused, match="SIGN_003"):
            verify(bundle, client.trust())
        with pytest.raises(SignatureRefused, match="SIGN_011"):
            verify(bundle, replace(theirs.trust(), tenant="default"))


def test_limits_reach_the_keys_of_a_tenant(registry: Any, client: Client) -> None:
    """What the platform sets for a tenant, each of its keys is told."""
    client.tenants.create("initech")
    limits = TenantLimits(requests_per_second=2.5, burst=10)
    assert client.tenants.set_limits("initech", limits).limits == limits
    assert client.tenants.set_features("initech", {"v2.repository": False}).features == {"v2.repository": False}
    key = client.keys.create("theirs", roles=["user"], tenant="initech").key
    with Client(registry.url, inference_url=registry.url, api_key=key) as theirs:
        me = theirs.whoami()
    assert (me.limits, me.features) == (limits, {"v2.repository": False})


def test_errors_name_the_request(client: Client) -> None:
    """Errors carry the id under which the registry logged the request."""
    with pytest.raises(NotFound) as caught:
        client.models.get("no-such-model")
    assert (caught.value.code, caught.value.status) == ("MODEL_001", 404)
    assert caught.value.request_id


def test_unknown_key_and_no_key(registry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong key and no key are different answers, both about authentication."""
    monkeypatch.setenv("FUROSHIKI_CONFIG", "/nonexistent")
    for key, code in (("furo_0000000000000000_wrong", "AUTH_002"), (None, "AUTH_001")):
        with Client(registry.url, api_key=key) as stranger, pytest.raises(AuthError) as caught:
            stranger.whoami()
        assert caught.value.code == code


def test_the_command_line_end_to_end(registry: Any, model_file: Path, tmp_path: Path) -> None:
    """The installed ``furo`` logs in, pushes, shows and verifies, each in its own process."""

    def furo(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "furoshiki.cli", *arguments]
        environment = {"FUROSHIKI_CONFIG": str(tmp_path / "config.json"), "PATH": os.environ["PATH"]}
        return subprocess.run(command, input=stdin, env=environment, capture_output=True, text=True, check=False)

    assert furo("login", "--url", registry.url, stdin=registry.admin_key).returncode == 0
    pushed = furo("push", str(model_file), "--name", "by-hand")
    assert (pushed.returncode, "default/by-hand@1" in pushed.stdout) == (0, True), pushed.stderr
    assert furo("stage", "by-hand@1", "STAGING", "--reason", "r").returncode == 0
    (tmp_path / "trust.json").write_text(furo("trust").stdout)
    verified = furo("verify", "by-hand@1", "--policy", str(tmp_path / "trust.json"))
    assert (verified.returncode, "default/by-hand@1" in verified.stdout) == (0, True), verified.stderr
    assert furo("versions", "nope").returncode == 5
