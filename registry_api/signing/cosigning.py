# SPDX-License-Identifier: Apache-2.0
"""Co-signatures of versions with P-256, for tools that do not know Ed25519: OpenSSF's ``model_signing verify key``.

A co-signature is made when it is asked for, over the manifest that verifies under the tenant's policy at that moment; a
revoked version gets none. It is random, so two of one version differ and are equally good. Nothing of ours believes it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from artifacts.keys.interface import KeyProvider
from artifacts.signing.bundle import sign_manifest
from artifacts.signing.interface import Signer
from artifacts.signing.policy import Subject
from artifacts.signing.verifier import BundleVerifier
from core.clock import Clock
from core.errors import AuthError, ErrorCode
from core.features import Feature
from registry_api.models.service import ModelService
from registry_api.tenancy.service import TenantService

FEATURE: Final = Feature.SIGNING_P256.value  # of a tenant's record: whether it has co-signatures


@dataclass(frozen=True, slots=True, kw_only=True)
class CoSigning:
    """Co-signs versions.

    Attributes:
        models: Gives versions and their bytes.
        tenants: Says whether a tenant has the feature.
        keys: Hold the P-256 keys.
        clock: For the validity of the version's own signature.
        default: Whether tenants have the feature whose record says nothing.
    """

    models: ModelService
    tenants: TenantService
    keys: KeyProvider
    clock: Clock
    default: bool

    async def signer(self, tenant: str) -> Signer:
        """The tenant's P-256 signer.

        Raises:
            NotFound: ``TENANT_001`` if there is no such tenant.
            AuthError: ``AUTH_003`` if the feature is switched off for it.
            Unavailable: ``STORE_001`` if the keys cannot be reached.
        """
        record = await self.tenants.get(tenant)
        if not record.features.get(FEATURE, self.default):
            raise AuthError(
                ErrorCode.AUTH_FORBIDDEN,
                f"The feature {FEATURE!r} is switched off for this tenant; a platform administrator can switch it on.",
                details={"feature": FEATURE},
            )
        return await asyncio.to_thread(self.keys.co_signer, tenant)

    async def signature(self, tenant: str, model: str, number: int) -> bytes:
        """The co-signature of a version: a Sigstore bundle over the same statement as its ``model.sig``.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such version.
            SignatureError: ``SIGN_*`` if the version itself does not verify, as when it is revoked.
            AuthError, NotFound, Unavailable: As :meth:`signer`.
        """
        signer = await self.signer(tenant)
        version = await self.models.version(tenant, model, number)
        manifest_bytes, signature = await self.models.manifest(version), await self.models.signature(version)

        def made() -> bytes:
            verifier = BundleVerifier(self.keys.policy(tenant), self.clock)
            subject = Subject(tenant=tenant, model=model, version=number)
            return sign_manifest(verifier.verify_manifest(manifest_bytes, signature, subject=subject), signer)

        return await asyncio.to_thread(made)
