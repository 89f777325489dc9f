# SPDX-License-Identifier: Apache-2.0
"""The key provider suite over a real OpenBao, and what is its own: races, outages, what an operator deletes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from artifacts.digest import digest_bytes
from artifacts.encryption.transit import TransitKeyWrapper
from artifacts.keys.file import FileTrust
from artifacts.keys.vault import VaultKeyProvider
from artifacts.secrets.testing import vault_connection
from artifacts.testing import KeyProviderContract, SignerContract, refused
from core.clock import ManualClock
from core.errors import ErrorCode
from deploy.local.components.openbao import OpenBao
from deploy.local.stack import ROOT


def provider(
    bao: OpenBao, prefix: str, clock: ManualClock | None = None, mirror: Path | None = None
) -> VaultKeyProvider:
    connection = vault_connection(bao.address, bao.token)
    return VaultKeyProvider(connection, clock or ManualClock(), prefix=prefix, mirror=mirror)


@pytest.fixture
def prefix() -> str:
    """A part of the server that no other test uses."""
    return f"test-{uuid4().hex[:8]}"


class TestVault(KeyProviderContract):
    """Keys in OpenBao."""

    @pytest.fixture
    def keys(self, openbao: OpenBao, prefix: str) -> VaultKeyProvider:
        return provider(openbao, prefix)


class TestSigner(SignerContract):
    """A transit key signs."""

    @pytest.fixture(params=["ed25519", "p256"])
    def signer(self, request: pytest.FixtureRequest, openbao: OpenBao, prefix: str) -> object:
        keys = provider(openbao, prefix)
        return keys.signer("acme") if request.param == "ed25519" else keys.co_signer("acme")


def test_racing_processes_agree(openbao: OpenBao, prefix: str) -> None:
    """Providers that start together, rotate and revoke at the same time lose nothing and end with one key."""
    keys = [provider(openbao, prefix) for _ in range(4)]
    digests = [digest_bytes(bytes([number])) for number in range(4)]

    def work(one: VaultKeyProvider, digest: str) -> None:
        one.signer("acme")
        one.revoke("acme", digests=frozenset({digest}))
        one.rotate("acme", not_after=None)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(keys, digests, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    policy = provider(openbao, prefix).policy("acme")
    assert policy.revoked_digests == set(digests)
    assert policy.serial == 9  # the first key, four revocations, four rotations
    assert 2 <= len(policy.keys) <= 5  # rotations of the same moment may find the same newest key
    assert {provider(openbao, prefix).signer("acme").key_id for _ in range(3)} == {policy.keys[-1].key_id}


def test_another_process_sees_a_rotation(openbao: OpenBao, prefix: str) -> None:
    """A second later a process that did not rotate signs with the new key too."""
    clock = ManualClock()
    one, other = provider(openbao, prefix), provider(openbao, prefix, clock)
    other.signer("acme")
    new = one.rotate("acme", not_after=None)
    assert other.signer("acme").key_id != new.key_id
    clock.advance(1)
    assert other.signer("acme").key_id == new.key_id


@pytest.mark.fault("Vault sealed or killed")
def test_sealed_and_killed(openbao: OpenBao, prefix: str) -> None:
    """While Vault is away policies go on being served, signing is refused as retryable, and nothing has to be restarted."""
    clock = ManualClock()
    keys = provider(openbao, prefix, clock)
    signer, policy = keys.signer("acme"), keys.policy("acme")
    for away, back in ((openbao.seal, openbao.unseal), (openbao.kill, openbao.start)):
        away()
        try:
            clock.advance(3600)
            assert keys.policy("acme") == policy
            with refused(ErrorCode.STORE_UNAVAILABLE, "Vault"):
                keys.signer("acme").sign(b"m")
            with refused(ErrorCode.STORE_UNAVAILABLE, "Vault"):
                keys.revoke("acme", digests=frozenset({digest_bytes(b"1")}))
            with refused(ErrorCode.STORE_UNAVAILABLE, "Vault"):
                keys.signer("globex")
        finally:
            back()
        assert keys.signer("acme").sign(b"m") == signer.sign(b"m")
    clock.advance(3600)
    assert keys.policy("acme") == policy


def test_the_private_key_stays(openbao: OpenBao, prefix: str) -> None:
    """Vault exports no signing key of ours."""
    provider(openbao, prefix).signer("acme")
    with pytest.raises(AssertionError, match="exportable"):
        openbao.call("GET", f"transit/export/signing-key/{prefix}-sign-acme")


def test_a_deleted_policy_is_not_made_anew(openbao: OpenBao, prefix: str) -> None:
    """A policy that was deleted trusts nobody until it is undeleted: its revocations must not get lost."""
    provider(openbao, prefix).signer("acme")
    openbao.call("DELETE", f"secret/data/{prefix}/trust/acme")
    with refused(ErrorCode.SIGNER_UNTRUSTED, "undelete"):
        provider(openbao, prefix).policy("acme")
    openbao.call("POST", f"secret/undelete/{prefix}/trust/acme", {"versions": [1]})
    assert provider(openbao, prefix).policy("acme").serial == 1


def test_a_missing_engine_is_named(openbao: OpenBao, prefix: str) -> None:
    """A mount that is not there is an operator's matter and says which."""
    connection = vault_connection(openbao.address, openbao.token)
    mounts: list[dict[str, Any]] = [{"transit_mount": "nowhere"}, {"kv_mount": "nowhere"}]
    for wrong in mounts:
        with refused(ErrorCode.INIT_FAILED, "nowhere"):
            VaultKeyProvider(connection, ManualClock(), prefix=prefix, **wrong).signer("acme")


def test_the_mirror_follows(openbao: OpenBao, prefix: str, tmp_path: Path) -> None:
    """Servers on the same machine find each policy as a file, never an older one."""
    keys = provider(openbao, prefix, mirror=tmp_path / "trust")
    late = provider(openbao, prefix, mirror=tmp_path / "trust")
    late.policy("acme")
    keys.revoke("acme", digests=frozenset({digest_bytes(b"1")}))
    assert FileTrust(tmp_path / "trust").policy("acme") == keys.policy("acme")
    late.policy("acme")
    assert FileTrust(tmp_path / "trust").policy("acme").serial == 2


async def test_the_documented_policy_is_enough(openbao: OpenBao) -> None:
    """A token with the policy of the how-to page signs, rotates, revokes, wraps and unwraps, and reads no other secret."""
    page = (ROOT / "docs" / "how-to" / "vault.md").read_text()
    policy = page.partition("## The policy the registry needs")[2].split("```")[1]
    openbao.call("PUT", "sys/policies/acl/furoshiki", {"policy": policy})
    token = openbao.call("POST", "auth/token/create", {"policies": ["furoshiki"]})["auth"]["client_token"]
    connection = vault_connection(openbao.address, token)
    keys, wrapper = VaultKeyProvider(connection, ManualClock()), TransitKeyWrapper(connection, ManualClock())
    assert keys.rotate("acme", not_after=None).sign(b"m")
    assert keys.co_signer("acme").sign(b"m")
    keys.revoke("acme", digests=frozenset({digest_bytes(b"1")}))
    old = await wrapper.key_id("acme"), await wrapper.wrap("acme", b"k" * 32)
    await wrapper.rotate("acme")
    rewrapped = await wrapper.rewrap("acme", *old)
    assert await wrapper.unwrap("acme", await wrapper.key_id("acme"), rewrapped) == b"k" * 32
    openbao.call("POST", "secret/data/others", {"data": {"x": "y"}})
    with refused(ErrorCode.STORE_UNAVAILABLE, "refuses"):
        connection.call(lambda client: client.secrets.kv.v2.read_secret_version("others", mount_point="secret"))
