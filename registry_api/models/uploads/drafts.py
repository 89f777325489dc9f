# SPDX-License-Identifier: Apache-2.0
"""A version before it is registered: its manifest, signed under the number that it will probably get. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from artifacts.digest import digest_bytes
from artifacts.manifest import Manifest
from artifacts.signing.bundle import sign_manifest
from artifacts.signing.interface import Signer
from registry_api.models.uploads.inspection import Inspection
from registry_api.models.uploads.values import Upload
from registry_api.models.values import Stage, Variant, Version

PRODUCER: Final = "furoshiki-registry"
SOURCE_DEVICE: Final = "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A version signed under a number that it may not get."""

    manifest: Manifest
    precision: str
    data: bytes  # of the manifest
    signature: bytes
    key_id: str  # of the key that signed

    def version(self, *, created_by: str) -> Version:
        """The version, as it is registered."""
        manifest, digest, signature_digest = self.manifest, digest_bytes(self.data), digest_bytes(self.signature)
        source = Variant(
            name=manifest.variant,
            format=manifest.format,
            precision=self.precision,
            device=SOURCE_DEVICE,
            digest=digest,
            signature_digest=signature_digest,
            key_id=self.key_id,
            size=manifest.size,
            source=True,
        )
        assert manifest.signature is not None  # put there by drafted
        return Version(
            tenant=manifest.tenant,
            model=manifest.model,
            version=manifest.version,
            stage=Stage.DEVELOPMENT,
            format=manifest.format,
            digest=digest,
            signature_digest=signature_digest,
            key_id=self.key_id,
            size=manifest.size,
            files=manifest.files,
            inputs=manifest.signature.inputs,
            outputs=manifest.signature.outputs,
            metadata=manifest.metadata,
            created_at=manifest.created_at,
            created_by=created_by,
            variants=(source,),
        )


def drafted(upload: Upload, number: int, inspection: Inspection, signer: Signer, now: datetime) -> Draft:
    """Manifest and signature of what an upload becomes.

    Args:
        upload: Complete.
        number: The version's.
        inspection: What the runtime said about its model.
        signer: Of the tenant; it may ask another machine, so this blocks.
        now: When the version is made.
    """
    manifest = Manifest(
        kind="model",
        tenant=upload.tenant,
        model=upload.model,
        version=number,
        variant=f"{upload.format}-{inspection.precision}/{SOURCE_DEVICE}",
        format=upload.format,
        files=upload.files,
        signature=inspection.signature,
        parent=None,
        producer=PRODUCER,
        created_at=now,
        metadata=upload.metadata,
    )
    return Draft(
        manifest=manifest,
        precision=inspection.precision,
        data=manifest.to_bytes(),
        signature=sign_manifest(manifest, signer),
        key_id=signer.key_id,
    )
