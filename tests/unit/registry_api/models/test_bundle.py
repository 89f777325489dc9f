# SPDX-License-Identifier: Apache-2.0
"""Bundles on their way from the store to a build are verified before and after they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from artifacts.digest import digest_bytes
from artifacts.keys.file import FileTrust
from artifacts.manifest import MANIFEST_NAME, SIGNATURE_NAME
from artifacts.signing.policy import Subject
from artifacts.signing.verifier import BundleVerifier
from artifacts.source import DirectorySource
from artifacts.stores.objects import ObjectBlobStore
from artifacts.testing import Bundle, make_bundle
from core.errors import ErrorCode, NotFound, SignatureError
from registry_api.jobs.testing import RecordingTask, a_job
from registry_api.models.bundle import fetch_bundle, stage_bundle
from registry_api.models.source import Source
from registry_api.models.transfer import upload_bytes


async def _stored(store: ObjectBlobStore, bundle: Bundle) -> Source:
    for data in bundle.files.values():
        await upload_bytes(store, "acme", data)
    return Source(
        tenant="acme",
        model="digits",
        version=3,
        variant="onnx-fp32/cpu",
        format="onnx",
        digest=bundle.manifest.digest,
        signature_digest=digest_bytes(bundle.files[SIGNATURE_NAME]),
    )


async def test_a_bundle_arrives_as_it_was_signed(tmp_path: Path) -> None:
    """Every file of the bundle is in the folder, byte for byte."""
    store, bundle = ObjectBlobStore.memory(), make_bundle()
    source = await _stored(store, bundle)
    found = await fetch_bundle(store, BundleVerifier(bundle.policy, bundle.clock), source, tmp_path / "model")
    assert found.digest == bundle.manifest.digest
    files = {p.relative_to(tmp_path / "model").as_posix(): p for p in (tmp_path / "model").rglob("*") if p.is_file()}
    assert {path: file.read_bytes() for path, file in files.items()} == bundle.files


async def test_a_bundle_of_a_stranger_is_refused_before_any_file_is_fetched(tmp_path: Path) -> None:
    """Signed by a key the tenant does not trust: SIGN_003, and nothing is written."""
    store, bundle = ObjectBlobStore.memory(), make_bundle()
    source = await _stored(store, bundle)
    stranger = make_bundle().policy
    with pytest.raises(SignatureError) as refused:
        await fetch_bundle(store, BundleVerifier(stranger, bundle.clock), source, tmp_path / "model")
    assert refused.value.code is ErrorCode.SIGNER_UNTRUSTED
    assert not (tmp_path / "model").exists()


async def test_another_version_than_asked_for_is_refused(tmp_path: Path) -> None:
    """A validly signed bundle of another version is SIGN_011."""
    store, bundle = ObjectBlobStore.memory(), make_bundle(version=2)
    source = await _stored(store, bundle)
    with pytest.raises(SignatureError) as refused:
        await fetch_bundle(store, BundleVerifier(bundle.policy, bundle.clock), source, tmp_path / "model")
    assert refused.value.code is ErrorCode.SUBJECT_MISMATCH


async def test_a_lost_file_is_reported(tmp_path: Path) -> None:
    """A blob the store does not have is STORE_002."""
    store, bundle = ObjectBlobStore.memory(), make_bundle()
    source = await _stored(store, bundle)
    await store.delete("acme", bundle.manifest.files[0].digest)
    with pytest.raises(NotFound) as refused:
        await fetch_bundle(store, BundleVerifier(bundle.policy, bundle.clock), source, tmp_path / "model")
    assert refused.value.code is ErrorCode.BLOB_NOT_FOUND
    assert MANIFEST_NAME in bundle.files


async def test_a_child_is_given_what_it_needs_to_verify_again(tmp_path: Path) -> None:
    """The bundle and the tenant's trust lie in the job's folder; the log says what was verified."""
    store, bundle, task = ObjectBlobStore.memory(), make_bundle(), RecordingTask(job=a_job())
    source = await _stored(store, bundle)
    await stage_bundle(store, bundle.policy, bundle.clock, source, scratch=tmp_path, task=task)
    policy = FileTrust(tmp_path / "trust").policy("acme")
    subject = Subject(tenant="acme", model="digits", version=3, variant="onnx-fp32/cpu")
    found = BundleVerifier(policy, bundle.clock).verify(DirectorySource(tmp_path / "model"), subject=subject)
    assert task.lines == [f"verified acme/digits@3 onnx-fp32/cpu {found.digest}, signed by {found.key_id}"]
