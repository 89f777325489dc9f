# SPDX-License-Identifier: Apache-2.0
"""Key files: their modes, races, and what an operator may do to them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from artifacts.digest import digest_bytes
from artifacts.keys.file import FileKeyProvider, FileTrust
from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.signing.policy import TrustPolicy
from artifacts.testing import refused, trust
from core.errors import ErrorCode


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "home" / "keys"


def key_file(root: Path) -> Path:
    return root / "private" / "acme" / "signing.key"


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_modes(root: Path, umask: int) -> None:
    """Private parts are for the owner only and the policy is for everyone, whatever the umask."""
    old = os.umask(umask)
    try:
        FileKeyProvider(root).signer("acme")
    finally:
        os.umask(old)
    assert mode_of(key_file(root)) == 0o600
    assert mode_of(root / "private") == mode_of(root / "private" / "acme") == 0o700
    assert mode_of(root / "trust" / "acme.json") == 0o644


def test_key_survives_a_restart(root: Path) -> None:
    """A new provider on the same folder has the same key and policy."""
    first = FileKeyProvider(root)
    key_id, policy = first.signer("acme").key_id, first.policy("acme")
    second = FileKeyProvider(root)
    assert (second.signer("acme").key_id, second.policy("acme")) == (key_id, policy)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_key_that_others_may_read_is_refused(root: Path, mode: int) -> None:
    """A key file with a looser mode is refused, naming the mode found and expected."""
    FileKeyProvider(root).signer("acme")
    key_file(root).chmod(mode)
    with refused(ErrorCode.INIT_FAILED, f"{mode:04o}", "0600"):
        FileKeyProvider(root).signer("acme")


@pytest.mark.parametrize("folder", ["private", "private/acme"])
def test_folder_that_others_may_enter_is_refused(root: Path, folder: str) -> None:
    """A folder of keys with a looser mode is refused."""
    FileKeyProvider(root).signer("acme")
    (root / folder).chmod(0o755)
    with refused(ErrorCode.INIT_FAILED, "0755", "0700"):
        FileKeyProvider(root).signer("acme")


def a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def garbage(path: Path) -> None:
    path.write_bytes(b"garbage")


@pytest.mark.parametrize("spoil", [a_link, a_pipe, garbage])
def test_spoilt_key_is_refused_and_kept(root: Path, spoil: Callable[[Path], None]) -> None:
    """A key file that is no key is refused and never replaced by a new one."""
    FileKeyProvider(root).signer("acme")
    spoil(key_file(root))
    with refused(ErrorCode.INIT_FAILED, "key"):
        FileKeyProvider(root).signer("acme")
    assert key_file(root).exists()


def test_threads_agree_on_one_key(root: Path) -> None:
    """Many providers at once in one process end with one key."""
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(FileKeyProvider(root).signer("acme").key_id)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert len(FileKeyProvider(root).policy("acme").keys) == 1


def test_processes_agree_on_one_key(root: Path) -> None:
    """Processes that start together end with one key."""
    code = (
        "import sys, pathlib; from artifacts.keys.file import FileKeyProvider; sys.stdin.read();"
        "print(FileKeyProvider(pathlib.Path(sys.argv[1])).signer('acme').key_id)"
    )
    command = [sys.executable, "-c", code, str(root)]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(3)]
    for child in children:
        assert child.stdin is not None
        child.stdin.close()
    found = set()
    for child in children:
        assert child.stdout is not None
        found.add(child.stdout.read())
        assert child.wait() == 0
    assert len(found) == 1


def test_rotation_keeps_the_old_key_trusted(root: Path) -> None:
    """When the key file is moved away a new key is made; the old one stays trusted until it is revoked."""
    old = FileKeyProvider(root).signer("acme").key_id
    key_file(root).rename(root / "old.key")
    provider = FileKeyProvider(root)
    new = provider.signer("acme").key_id
    assert [key.key_id for key in provider.policy("acme").keys] == [old, new]
    provider.revoke("acme", keys=frozenset({old}))
    assert provider.signer("acme").key_id == new


def test_policy_lost_in_a_crash_is_made_again(root: Path) -> None:
    """A process killed between key and policy leaves a key whose policy the next start writes."""
    key_id = FileKeyProvider(root).signer("acme").key_id
    (root / "trust" / "acme.json").unlink()
    assert FileKeyProvider(root).policy("acme").keys[0].key_id == key_id


def test_damaged_policy_is_not_overwritten(root: Path) -> None:
    """A policy that cannot be read stops the provider: its revocations must not get lost."""
    FileKeyProvider(root).signer("acme")
    (root / "trust" / "acme.json").write_bytes(b"{")
    with refused(ErrorCode.SIGNER_UNTRUSTED):
        FileKeyProvider(root).signer("acme")
    assert (root / "trust" / "acme.json").read_bytes() == b"{"


def test_revocations_of_many_threads_all_count(root: Path) -> None:
    """Concurrent revocations through several providers are all kept."""
    digests = [digest_bytes(bytes([number])) for number in range(8)]
    FileKeyProvider(root).signer("acme")
    threads = [
        threading.Thread(target=FileKeyProvider(root).revoke, args=("acme",), kwargs={"digests": frozenset({digest})})
        for digest in digests
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert FileKeyProvider(root).policy("acme").revoked_digests == set(digests)


@pytest.mark.parametrize("names", [{"keys": frozenset({"x"})}, {"digests": frozenset({"0" * 64})}])
def test_malformed_revocation_is_refused(root: Path, names: dict[str, frozenset[str]]) -> None:
    """A revocation that could never match is refused."""
    with refused(ErrorCode.INVALID_FIELD):
        FileKeyProvider(root).revoke("acme", **names)


def test_tenant_called_trust(root: Path) -> None:
    """A tenant named like a folder of ours gets its key like any other."""
    provider = FileKeyProvider(root)
    assert provider.signer("trust").key_id != provider.signer("private").key_id


def test_trust_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """The serving side sees a changed policy without a restart, also through a link as Kubernetes mounts it."""
    one, two = trust(Ed25519Signer.generate()), trust(Ed25519Signer.generate())
    (tmp_path / "data").write_bytes(one.to_bytes())
    (tmp_path / "acme.json").symlink_to("data")
    reader = FileTrust(tmp_path)
    assert reader.policy("acme") == one
    assert reader.policy("acme") is reader.policy("acme")
    (tmp_path / "new").write_bytes(two.to_bytes())
    (tmp_path / "new").rename(tmp_path / "data")
    assert reader.policy("acme") == two


def test_absent_policy_trusts_nobody(tmp_path: Path) -> None:
    """A tenant without a policy is refused, naming the file that is expected."""
    with refused(ErrorCode.SIGNER_UNTRUSTED, "acme.json"):
        FileTrust(tmp_path).policy("acme")


def test_policy_of_another_tenant_is_refused(tmp_path: Path) -> None:
    """A policy under the wrong name is refused."""
    (tmp_path / "acme.json").write_bytes(TrustPolicy(tenant="globex").to_bytes())
    with refused(ErrorCode.SIGNER_UNTRUSTED, "globex"):
        FileTrust(tmp_path).policy("acme")


def test_removed_policy_is_not_served_from_memory(tmp_path: Path) -> None:
    """Taking the policy away takes the trust away at once."""
    (tmp_path / "acme.json").write_bytes(trust(Ed25519Signer.generate()).to_bytes())
    reader = FileTrust(tmp_path)
    reader.policy("acme")
    (tmp_path / "acme.json").unlink()
    with refused(ErrorCode.SIGNER_UNTRUSTED):
        reader.policy("acme")
