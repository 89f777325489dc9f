# SPDX-License-Identifier: Apache-2.0
"""Real bundles for tests, and the suites every signer, key provider and blob store must pass.

A suite is a class to inherit: give it the fixture it asks for, and pytest runs its tests against that implementation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from artifacts.digest import digest_bytes
from artifacts.keys.interface import KeyProvider
from artifacts.manifest import MANIFEST_NAME, SIGNATURE_NAME, FileEntry, Manifest
from artifacts.signing.bundle import sign_manifest
from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.signing.interface import Signer
from artifacts.signing.policy import Subject, TrustedKey, TrustPolicy
from artifacts.signing.public_key import PublicKey
from artifacts.signing.verifier import BundleSource, BundleVerifier, VerifiedBundle
from artifacts.source import MemorySource
from artifacts.stores.testing import BlobStoreContract, chunks_of, refused
from core.clock import ManualClock
from core.errors import ErrorCode
from core.tensors import DType, Signature, TensorSpec

__all__ = [
    "FILES",
    "SIGNATURE",
    "BlobStoreContract",
    "Bundle",
    "KeyProviderContract",
    "SignerContract",
    "chunks_of",
    "make_bundle",
    "make_manifest",
    "refused",
    "trust",
]

FILES: Mapping[str, bytes] = {"model.onnx": b"not a real model" * 8, "assets/labels.txt": b"zero\none\n"}
SIGNATURE = Signature(
    inputs=(TensorSpec(name="X", dtype=DType.FP32, shape=(-1, 64)),),
    outputs=(TensorSpec(name="label", dtype=DType.INT64, shape=(-1,)),),
)
CREATED = datetime(2026, 1, 1, tzinfo=UTC)


def make_manifest(files: Mapping[str, bytes] = FILES, /, **fields: Any) -> Manifest:
    """A manifest of ``acme/digits@3`` over ``files``; ``fields`` replace its other values."""
    entries = tuple(FileEntry(path=path, size=len(data), digest=digest_bytes(data)) for path, data in files.items())
    defaults: dict[str, Any] = {
        "kind": "model",
        "tenant": "acme",
        "model": "digits",
        "version": 3,
        "variant": "onnx-fp32/cpu",
        "format": "onnx",
        "files": entries,
        "signature": SIGNATURE,
        "producer": "furoshiki-tests",
        "created_at": CREATED,
        "metadata": {"accuracy": "0.97"},
    }
    return Manifest(**(defaults | fields))


def trust(*signers: Signer, tenant: str = "acme") -> TrustPolicy:
    """A policy that trusts ``signers`` without limits of time."""
    keys = tuple(TrustedKey(key_id=signer.key_id, public_key=signer.public_key.decode()) for signer in signers)
    return TrustPolicy(tenant=tenant, keys=keys)


@dataclass(kw_only=True)
class Bundle:
    """A signed bundle in memory whose parts a test may replace before it verifies."""

    manifest: Manifest
    signer: Signer
    files: dict[str, bytes]  # manifest.json and model.sig included
    policy: TrustPolicy
    clock: ManualClock = field(default_factory=ManualClock)

    @property
    def subject(self) -> Subject:
        """What a caller who wants exactly this bundle asks for."""
        manifest = self.manifest
        return Subject(
            tenant=manifest.tenant,
            model=manifest.model,
            version=manifest.version,
            variant=manifest.variant,
            kind=manifest.kind,
        )

    def verify(self, source: BundleSource | None = None, *, retain: bool = True) -> VerifiedBundle:
        """Verifies the parts as they are now, or as ``source`` has them."""
        verifier = BundleVerifier(self.policy, self.clock)
        return verifier.verify(source or MemorySource(self.files), subject=self.subject, retain=retain)

    def edit_signature(self, edit: Callable[[dict[str, Any]], None]) -> None:
        """Changes ``model.sig`` as JSON, without signing again."""
        document = json.loads(self.files[SIGNATURE_NAME])
        edit(document)
        self.files[SIGNATURE_NAME] = json.dumps(document, separators=(",", ":"), sort_keys=True).encode()

    def write(self, folder: Path) -> Path:
        """Writes all parts below ``folder`` and returns it."""
        for path, data in self.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        return folder


def make_bundle(files: Mapping[str, bytes] = FILES, /, *, signer: Signer | None = None, **fields: Any) -> Bundle:
    """A signed bundle over ``files`` and a policy that trusts its signer; ``fields`` are those of the manifest."""
    signer = signer or Ed25519Signer.generate()
    manifest = make_manifest(files, **fields)
    parts = dict(files) | {MANIFEST_NAME: manifest.to_bytes(), SIGNATURE_NAME: sign_manifest(manifest, signer)}
    return Bundle(manifest=manifest, signer=signer, files=parts, policy=trust(signer, tenant=manifest.tenant))


class SignerContract:
    """What every :class:`~artifacts.signing.interface.Signer` keeps. Needs a fixture ``signer``."""

    def test_public_key_names_the_signer(self, signer: Signer) -> None:
        """The key id is that of the public key, and so is the algorithm."""
        key = PublicKey.from_pem(signer.public_key)
        assert (signer.key_id, signer.algorithm) == (key.key_id, key.algorithm)

    @pytest.mark.parametrize("message", [b"", b"m", b"x" * 100_000])
    def test_signature_verifies_for_that_message_only(self, signer: Signer, message: bytes) -> None:
        """A signature verifies for the message that was signed and for no other."""
        signature, key = signer.sign(message), PublicKey.from_pem(signer.public_key)
        assert key.verifies(signature, message)
        assert not key.verifies(signature, message + b"!")
        assert not key.verifies(signature[:-1], message)

    def test_secret_is_not_shown(self, signer: Signer) -> None:
        """Neither repr nor str of a signer shows its private key."""
        assert "PRIVATE" not in repr(signer) + str(signer)


class KeyProviderContract:
    """What every :class:`~artifacts.keys.interface.KeyProvider` keeps. Needs a fixture ``keys``."""

    def test_policy_lists_the_signer(self, keys: KeyProvider) -> None:
        """A tenant's policy trusts the key that its signer signs with, whichever is asked first."""
        assert keys.policy("acme").keys[0].key_id == keys.signer("acme").key_id

    def test_signer_is_stable(self, keys: KeyProvider) -> None:
        """Asking twice gives the same key."""
        assert keys.signer("acme").key_id == keys.signer("acme").key_id

    def test_tenants_have_their_own_keys(self, keys: KeyProvider) -> None:
        """Two tenants never share a key, nor trust each other's."""
        other = keys.signer("globex").key_id
        assert other not in {key.key_id for key in keys.policy("acme").keys}

    def test_bundle_of_the_signer_verifies(self, keys: KeyProvider) -> None:
        """What the provider's signer signs, the provider's policy accepts."""
        bundle = make_bundle(signer=keys.signer("acme"))
        bundle.policy = keys.policy("acme")
        assert bundle.verify().key_id == keys.signer("acme").key_id

    def test_revocations_accumulate(self, keys: KeyProvider) -> None:
        """A revocation stays when another is added."""
        first, second = digest_bytes(b"1"), digest_bytes(b"2")
        keys.revoke("acme", digests=frozenset({first}))
        keys.revoke("acme", digests=frozenset({second}))
        assert keys.policy("acme").revoked_digests == {first, second}

    def test_revoked_key_signs_no_more(self, keys: KeyProvider) -> None:
        """Once its key is revoked, a tenant has no signer until a new key is made."""
        keys.revoke("acme", keys=frozenset({keys.signer("acme").key_id}))
        with refused(ErrorCode.STATE_CONFLICT, "revoked", "Rotate"):
            keys.signer("acme")
        new = keys.rotate("acme", not_after=None)
        assert keys.signer("acme").key_id == new.key_id

    def test_rotation_overlaps(self, keys: KeyProvider) -> None:
        """After a rotation the new key signs, and what the old one signed counts until the given time and no longer."""
        bundle = make_bundle(signer=keys.signer("acme"))
        end = bundle.clock.now() + timedelta(days=30)
        new = keys.rotate("acme", not_after=end)
        bundle.policy = replace(keys.policy("acme"), issued_at=None)  # judged by the bundle's clock alone
        assert keys.signer("acme").key_id == new.key_id != bundle.signer.key_id
        assert bundle.verify().key_id == bundle.signer.key_id
        assert make_bundle(signer=new).signer.key_id in {key.key_id for key in bundle.policy.keys}
        bundle.clock.advance(timedelta(days=31).total_seconds())
        with refused(ErrorCode.SIGNATURE_EXPIRED):
            bundle.verify()

    def test_every_change_counts(self, keys: KeyProvider) -> None:
        """The serial grows with each change, and only then."""
        serials = [keys.policy("acme").serial]
        for _ in range(2):
            keys.revoke("acme", digests=frozenset({digest_bytes(b"1")}))
            serials.append(keys.policy("acme").serial)
        keys.rotate("acme", not_after=None)
        serials.append(keys.policy("acme").serial)
        assert serials == [1, 2, 2, 3]

    def test_co_signer_is_never_trusted(self, keys: KeyProvider) -> None:
        """The P-256 key is stable, signs, and is in no policy."""
        signer, message = keys.co_signer("acme"), b"message"
        assert signer.algorithm == "ecdsa-p256"
        assert PublicKey.from_pem(signer.public_key).verifies(signer.sign(message), message)
        assert keys.co_signer("acme").key_id == signer.key_id
        assert signer.key_id not in {key.key_id for key in keys.policy("acme").keys}

    @pytest.mark.parametrize("tenant", ["", "..", "a/b", "Acme", "a\0b"])
    def test_tenant_name_is_checked(self, keys: KeyProvider, tenant: str) -> None:
        """A tenant that is no legal name gets no key."""
        with refused(ErrorCode.INVALID_FIELD, "tenant"):
            keys.signer(tenant)
