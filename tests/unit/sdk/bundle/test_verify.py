# SPDX-License-Identifier: Apache-2.0
"""Two implementations of one format: what the server signs the SDK verifies, and whatever is changed the SDK refuses."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from artifacts.manifest import MANIFEST_NAME, SIGNATURE_NAME
from artifacts.signing.bundle import sign_manifest
from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.signing.p256 import EcdsaP256Signer
from artifacts.signing.policy import Subject
from artifacts.signing.policy import TrustPolicy as ServerPolicy
from artifacts.signing.verifier import BundleVerifier
from artifacts.source import DirectorySource
from artifacts.testing import FILES, make_manifest, trust
from core.clock import ManualClock
from core.errors import SignatureError
from furoshiki import SignatureRefused, TrustPolicy, parse_policy, verify
from furoshiki.testing.signing import FakeSigner

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SIGNER = Ed25519Signer.generate()
POLICY = parse_policy(trust(SIGNER).to_bytes())


def bundle(root: Path, *, signer: Any = SIGNER, files: Mapping[str, bytes] = FILES, **fields: Any) -> Path:
    """A bundle of acme/digits@3 on disk, signed by the server's code."""
    manifest = make_manifest(files, **fields)
    contents = {**files, MANIFEST_NAME: manifest.to_bytes(), SIGNATURE_NAME: sign_manifest(manifest, signer)}
    for path, data in contents.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def refusal(root: Path, policy: TrustPolicy = POLICY, **asked: Any) -> str:
    with pytest.raises(SignatureRefused) as caught:
        verify(root, policy, now=NOW, **asked)
    return caught.value.code


@pytest.mark.parametrize("signer", [Ed25519Signer.generate(), EcdsaP256Signer.generate()], ids=["ed25519", "p256"])
def test_what_the_server_signs_verifies(tmp_path: Path, signer: Any) -> None:
    """A bundle signed by the server verifies here, with either algorithm, and says who signed what."""
    counted: list[int] = []
    policy = parse_policy(trust(signer).to_bytes())
    verified = verify(bundle(tmp_path, signer=signer), policy, model="digits", version=3, on_bytes=counted.append)
    assert verified.key_id == signer.key_id
    assert verified.digest == make_manifest().digest
    assert verified.manifest.ref == "acme/digits@3"
    assert {file.path for file in verified.manifest.files} == set(FILES)
    assert sum(counted) == verified.manifest.size


def test_what_the_fake_signs_the_server_verifies(tmp_path: Path) -> None:
    """A bundle made by the SDK's fake passes the server's verifier and the SDK's."""
    fake = FakeSigner("acme")
    made = fake.bundle("digits", 3, form="onnx", files=FILES, metadata={"a": "b"}, now=NOW)
    for path, data in made.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    verifier = BundleVerifier(ServerPolicy.from_bytes(fake.policy()), ManualClock(NOW))
    theirs = verifier.verify(DirectorySource(tmp_path), subject=Subject(tenant="acme", model="digits", version=3))
    assert verify(tmp_path, parse_policy(fake.policy()), now=NOW).digest == theirs.digest


def test_policy_is_written_as_the_server_writes_it() -> None:
    """A policy read and written here is the server's, byte for byte."""
    plain = trust(SIGNER)
    server = replace(
        plain,
        keys=(replace(plain.keys[0], not_after=NOW),),
        revoked_keys=frozenset({"ab" * 32}),
        revoked_digests=frozenset({f"sha256:{'cd' * 32}"}),
    )
    assert parse_policy(server.to_bytes()).to_bytes() == server.to_bytes()


@pytest.mark.parametrize("name", [*FILES, MANIFEST_NAME, SIGNATURE_NAME])
def test_every_flipped_byte_is_refused(tmp_path: Path, name: str) -> None:
    """Whichever byte of whichever file is changed, the bundle is refused, and the server agrees with which code."""
    root = bundle(tmp_path)
    original = (root / name).read_bytes()
    verifier = BundleVerifier(trust(SIGNER), ManualClock(NOW))
    for position in range(0, len(original), 1 if len(original) < 400 else 3):
        changed = bytearray(original)
        changed[position] ^= 0x01
        (root / name).write_bytes(changed)
        code = refusal(root)
        with pytest.raises(SignatureError) as theirs:
            verifier.verify(DirectorySource(root), subject=Subject(tenant="acme", model="digits"))
        assert code == theirs.value.code, f"byte {position} of {name}"


@pytest.mark.parametrize("name", [*FILES, MANIFEST_NAME, SIGNATURE_NAME])
@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"\n", lambda data: b""])
def test_every_cut_or_extended_file_is_refused(tmp_path: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """A file that is shorter, longer or empty is refused."""
    root = bundle(tmp_path)
    (root / name).write_bytes(change((root / name).read_bytes()))
    assert refusal(root).startswith("SIGN_")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda root: (root / SIGNATURE_NAME).unlink(), "SIGN_001"),
        (lambda root: (root / MANIFEST_NAME).unlink(), "SIGN_006"),
        (lambda root: (root / "model.onnx").unlink(), "SIGN_006"),
        (lambda root: (root / "extra").touch(), "SIGN_005"),
        (lambda root: (root / "assets/extra").touch(), "SIGN_005"),
        (lambda root: (root / "link").symlink_to("model.onnx"), "SIGN_007"),
        (lambda root: os.mkfifo(root / "pipe"), "SIGN_007"),
        (lambda root: _replace_by_link(root / "model.onnx"), "SIGN_007"),
        (lambda root: _replace_by_link(root / "assets"), "SIGN_007"),
        (lambda root: _replace_by_link(root / MANIFEST_NAME), "SIGN_007"),
        (lambda root: _replace_by_pipe(root / SIGNATURE_NAME), "SIGN_007"),
    ],
)
def test_wrong_contents_are_named(tmp_path: Path, spoil: Callable[[Path], object], code: str) -> None:
    """Missing and extra files, symlinks and special files are refused, each with its own code."""
    root = bundle(tmp_path / "bundle")
    spoil(root)
    assert refusal(root) == code


def _replace_by_link(path: Path) -> None:
    aside = path.parent.parent / f"aside-{path.name}"
    path.rename(aside)
    path.symlink_to(aside)


def _replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def test_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A bundle that does not exist is no bundle."""
    assert refusal(tmp_path / "nope") == "SIGN_006"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"model": "wine"}, "SIGN_011"),
        ({"version": 4}, "SIGN_011"),
        ({"kind": "bento"}, "SIGN_011"),
    ],
)
def test_something_else_than_asked_for_is_refused(tmp_path: Path, asked: dict[str, Any], code: str) -> None:
    """A valid bundle of another model, version or kind is not what was asked for."""
    assert refusal(bundle(tmp_path), **asked) == code


def test_bundle_of_another_tenant_is_refused(tmp_path: Path) -> None:
    """A key trusted by one tenant says nothing for another tenant's policy."""
    assert refusal(bundle(tmp_path, tenant="globex")) == "SIGN_011"


def test_unknown_signer_is_refused(tmp_path: Path) -> None:
    """A signature by a key that the policy does not list is refused."""
    assert refusal(bundle(tmp_path, signer=Ed25519Signer.generate())) == "SIGN_003"


def test_revoked_is_refused(tmp_path: Path) -> None:
    """A revoked key, manifest, parent or file is refused, trusted or not."""
    parent = f"sha256:{'12' * 32}"
    root = bundle(tmp_path, parent=parent)
    verified = verify(root, POLICY, now=NOW)
    assert refusal(root, replace(POLICY, revoked_keys=frozenset({SIGNER.key_id}))) == "SIGN_009"
    for digest in (verified.digest, parent, verified.manifest.files[0].digest):
        assert refusal(root, replace(POLICY, revoked_digests=frozenset({digest}))) == "SIGN_009"


def test_validity_is_judged_now(tmp_path: Path) -> None:
    """A key or manifest outside its validity is refused; its limits are included below and excluded above."""
    root = bundle(tmp_path, expires_at=NOW + timedelta(days=1))
    second = timedelta(seconds=1)
    key = POLICY.keys[0]
    assert refusal(root, replace(POLICY, keys=(replace(key, not_before=NOW + second),))) == "SIGN_008"
    assert refusal(root, replace(POLICY, keys=(replace(key, not_after=NOW),))) == "SIGN_008"
    verify(root, replace(POLICY, keys=(replace(key, not_before=NOW, not_after=NOW + second),)), now=NOW)
    with pytest.raises(SignatureRefused, match="SIGN_008"):
        verify(root, POLICY, now=NOW + timedelta(days=1))


def test_signature_of_another_manifest_is_refused(tmp_path: Path) -> None:
    """A signature moved from one bundle to another covers nothing there."""
    root = bundle(tmp_path)
    (root / SIGNATURE_NAME).write_bytes(sign_manifest(make_manifest(version=4), SIGNER))
    assert refusal(root) == "SIGN_002"


@pytest.mark.parametrize(
    "policy",
    [
        b"",
        b"[]",
        b"{}",
        b'{"schema_version":1,"tenant":"acme","keys":[],"revoked_keys":[],"revoked_digests":[],"notafter":1}',
        b'{"schema_version":3,"tenant":"acme","keys":[],"revoked_keys":[],"revoked_digests":[]}',
        trust(SIGNER).to_bytes().replace(SIGNER.key_id.encode(), b"ab" * 32),
        trust(SIGNER).to_bytes().replace(b"BEGIN PUBLIC", b"BEGIN SECRET"),
    ],
)
def test_policy_that_cannot_be_read_trusts_nobody(policy: bytes) -> None:
    """A malformed policy, an unknown field or version, and a key without its id are refused, as the server refuses them."""
    with pytest.raises(SignatureRefused, match="SIGN_003"):
        parse_policy(policy)
    with pytest.raises(SignatureError):
        ServerPolicy.from_bytes(policy)
