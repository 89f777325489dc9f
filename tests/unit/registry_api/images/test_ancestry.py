# SPDX-License-Identifier: Apache-2.0
"""The signed manifests from a Bento's model back to the upload, as the registry holds them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from artifacts.manifest import MANIFEST_NAME, SIGNATURE_NAME, Manifest
from artifacts.signing.bundle import sign_manifest
from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.stores.objects import ObjectBlobStore
from artifacts.testing import FILES, make_manifest
from core.errors import ErrorCode, SignatureError
from registry_api.builds.builder import MODEL_FOLDER
from registry_api.images.ancestry import ancestry
from registry_api.models.transfer import upload_bytes
from registry_api.models.values import Stage, Variant, Version

SIGNER = Ed25519Signer.generate()
UPLOADED = make_manifest(FILES)
INT8 = replace(UPLOADED, variant="onnx-int8/cpu", parent=UPLOADED.digest)
PRUNED = replace(UPLOADED, variant="onnx-pruned/cpu", parent=INT8.digest)


async def variant_of(store: ObjectBlobStore, manifest: Manifest) -> Variant:
    """As registered: its manifest and signature are in the store."""
    await upload_bytes(store, "acme", manifest.to_bytes())
    form, _, device = manifest.variant.partition("/")
    return Variant(
        name=manifest.variant,
        format="onnx",
        precision=form.removeprefix("onnx-"),
        device=device,
        digest=manifest.digest,
        signature_digest=await upload_bytes(store, "acme", sign_manifest(manifest, SIGNER)),
        key_id=SIGNER.key_id,
        size=manifest.size,
        source=manifest.parent is None,
    )


def version_of(*variants: Variant) -> Version:
    return Version(
        tenant="acme",
        model="digits",
        version=3,
        stage=Stage.DEVELOPMENT,
        format="onnx",
        digest=UPLOADED.digest,
        signature_digest=UPLOADED.digest,
        key_id=SIGNER.key_id,
        size=1,
        files=(),
        inputs=(),
        outputs=(),
        metadata={},
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        created_by="tests",
        variants=variants,
    )


def bento_with(folder: Path, model: Manifest) -> Path:
    """As much of a Bento as is looked at."""
    (folder / MODEL_FOLDER).mkdir(parents=True)
    (folder / MODEL_FOLDER / MANIFEST_NAME).write_bytes(model.to_bytes())
    (folder / MODEL_FOLDER / SIGNATURE_NAME).write_bytes(sign_manifest(model, SIGNER))
    return folder


@pytest.mark.parametrize("chain", [(UPLOADED,), (INT8, UPLOADED), (PRUNED, INT8, UPLOADED)])
async def test_it_leads_from_what_is_inside_to_the_upload(tmp_path: Path, chain: tuple[Manifest, ...]) -> None:
    """Step by step, whatever else the version has."""
    store = ObjectBlobStore.memory()
    version = version_of(*[await variant_of(store, manifest) for manifest in (UPLOADED, INT8, PRUNED)])
    found = await ancestry(store, version, bento_with(tmp_path, chain[0]))
    assert [Manifest.from_bytes(signed.manifest) for signed in found] == list(chain)
    assert [signed.signature for signed in found] == [sign_manifest(manifest, SIGNER) for manifest in chain]


async def test_a_form_that_is_gone_breaks_it(tmp_path: Path) -> None:
    """IMAGE_007, before anything is built."""
    store = ObjectBlobStore.memory()
    version = version_of(await variant_of(store, UPLOADED))
    with pytest.raises(SignatureError) as caught:
        await ancestry(store, version, bento_with(tmp_path, PRUNED))
    assert caught.value.code is ErrorCode.IMAGE_CHAIN
