# SPDX-License-Identifier: Apache-2.0
"""For tests of whoever builds or deploys: a signed version, written straight into the database and the store."""

from __future__ import annotations

from collections.abc import Mapping

from artifacts.digest import digest_bytes
from artifacts.keys.interface import KeyProvider
from artifacts.manifest import FileEntry, Manifest
from artifacts.signing.bundle import sign_manifest
from artifacts.stores.interface import BlobStore
from core.clock import Clock
from core.tensors import Signature
from registry_api.db.session import Database
from registry_api.models.repository import ModelRepository, VersionRepository
from registry_api.models.transfer import upload_bytes
from registry_api.models.values import Model, Stage, Variant, Version
from registry_api.tenancy.repository import TenantRepository
from registry_api.tenancy.values import Tenant

VARIANT = "onnx-fp32/cpu"


async def register(
    db: Database,
    store: BlobStore,
    keys: KeyProvider,
    clock: Clock,
    *,
    files: Mapping[str, bytes],
    signature: Signature,
    tenant: str = "acme",
    model: str = "digits",
) -> Version:
    """Registers the next version of a model, making tenant and model where they are missing."""
    now = clock.now()
    async with db.write(tenant) as session:
        await TenantRepository(session).add(Tenant(name=tenant, display_name=tenant, created_at=now))
        models = ModelRepository(session, tenant)
        await models.add(_model(tenant, model, clock))
        number = await models.next_version(model, now)
        assert number is not None  # it was just made
        manifest = Manifest(
            kind="model",
            tenant=tenant,
            model=model,
            version=number,
            variant=VARIANT,
            format="onnx",
            files=tuple(FileEntry(path=p, size=len(data), digest=digest_bytes(data)) for p, data in files.items()),
            signature=signature,
            producer="furoshiki-tests",
            created_at=now,
            metadata={},
        )
        signer = keys.signer(tenant)
        for data in (*files.values(), manifest.to_bytes()):
            await upload_bytes(store, tenant, data)
        signed = await upload_bytes(store, tenant, sign_manifest(manifest, signer))
        version = _version(manifest, signed, signer.key_id)
        await VersionRepository(session, tenant).add(version, created_by_key="tests")
    return version


def _model(tenant: str, name: str, clock: Clock) -> Model:
    return Model(
        tenant=tenant,
        name=name,
        description="",
        tags=(),
        latest_version=None,
        production_version=None,
        created_at=clock.now(),
        updated_at=clock.now(),
    )


def _version(manifest: Manifest, signature_digest: str, key_id: str) -> Version:
    assert manifest.signature is not None
    variant = Variant(
        name=VARIANT,
        format=manifest.format,
        precision="fp32",
        device="cpu",
        digest=manifest.digest,
        signature_digest=signature_digest,
        key_id=key_id,
        size=manifest.size,
        source=True,
    )
    return Version(
        tenant=manifest.tenant,
        model=manifest.model,
        version=manifest.version,
        stage=Stage.DEVELOPMENT,
        format=manifest.format,
        digest=manifest.digest,
        signature_digest=signature_digest,
        key_id=key_id,
        size=manifest.size,
        files=manifest.files,
        inputs=manifest.signature.inputs,
        outputs=manifest.signature.outputs,
        metadata=dict(manifest.metadata),
        created_at=manifest.created_at,
        created_by="tests",
        variants=(variant,),
    )
