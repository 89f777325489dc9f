# SPDX-License-Identifier: Apache-2.0
"""Lists the forms of a version, chooses one for a device, and reads their bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from artifacts.digest import Digest
from artifacts.formats import FORMATS
from artifacts.keys.interface import KeyProvider
from artifacts.manifest import MAX_MANIFEST_BYTES, Manifest
from artifacts.signing.bundle import MAX_SIGNATURE_BYTES
from artifacts.signing.policy import TrustPolicy
from artifacts.stores.interface import BlobStore
from converters.parity.picture import scatter
from core.errors import Conflict, ErrorCode, ModelError, NotFound
from registry_api.conversions.repository import ConversionRepository
from registry_api.conversions.values import Result
from registry_api.conversions.variants.choosing import choose
from registry_api.conversions.variants.values import Choice, Form, FormState, Objective
from registry_api.db.session import Database
from registry_api.models.service import Content, ModelService
from registry_api.models.values import Variant, Version


class VariantService:
    """The variants of the caller's tenant's versions."""

    def __init__(self, db: Database, store: BlobStore, keys: KeyProvider, models: ModelService) -> None:
        self._db = db
        self._store = store
        self._keys = keys
        self._models = models

    async def forms(self, tenant: str, model: str, version: int) -> Sequence[Form]:
        """Every form of a version: what was uploaded, what it was converted to, and what was rejected and not made since.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such version.
        """
        return await self.forms_of(await self._models.version(tenant, model, version))

    async def forms_of(self, version: Version) -> Sequence[Form]:
        """As :meth:`forms`, of a version that was read."""
        async with self._db.read(version.tenant) as session:
            conversions = ConversionRepository(session, version.tenant)
            results = await conversions.results_of(version.model, version.version)
        policy = await asyncio.to_thread(self._keys.policy, version.tenant)
        made = {result.digest: result for result in results if result.accepted}
        forms = [_form(variant, made.get(variant.digest), policy) for variant in version.variants]
        known = {form.name for form in forms}
        for result in results:  # the newest first
            if not result.accepted and result.variant not in known:
                known.add(result.variant)
                forms.append(Form(name=result.variant, state=FormState.REJECTED, variant=None, result=result))
        return forms

    async def picture(self, tenant: str, model: str, version: int) -> bytes:
        """All converted forms of a version that are not revoked, by latency, size and fidelity; SVG.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such version.
        """
        forms = await self.forms(tenant, model, version)
        shown = [form.result for form in forms if form.result is not None and form.state is not FormState.REVOKED]
        return await asyncio.to_thread(scatter, [result.report for result in shown])

    async def choice(
        self,
        version: Version,
        *,
        device: str,
        objective: Objective,
        formats: Collection[str] | None = None,
        fidelity: float | None = None,
    ) -> Choice:
        """The form of a version to use on a device.

        Args:
            version: The version.
            device: Such as ``cpu``.
            objective: What matters.
            formats: What can be run there; None: every format that a runner loads.
            fidelity: The least cosine between its answers and the source's; None: what the parity gate let pass.

        Raises:
            Conflict: ``STATE_001`` if no form can be used, with the reason for each.
        """
        runnable = frozenset(name for name, form in FORMATS.items() if form.executable)
        wanted = runnable if formats is None else runnable & frozenset(formats)
        forms = await self.forms_of(version)
        return choose(forms, device=device, objective=objective, formats=wanted, fidelity=fidelity)

    async def check_not_rejected(self, version: Version, name: str | None) -> None:
        """Says that a variant was rejected, and why, where somebody wants to use it.

        Raises:
            Conflict: ``STATE_001`` with the reasons.
        """
        if name is None or version.variant(name) is not None:
            return
        form = next((form for form in await self.forms_of(version) if form.name == name), None)
        if form is not None and form.result is not None:
            raise Conflict(
                ErrorCode.STATE_CONFLICT,
                f"Variant {name!r} of '{version.tenant}/{version.model}@{version.version}' was rejected: "
                f"{'; '.join(reason.rstrip('.') for reason in form.result.reasons)}. Use another variant.",
                details={"variant": name, "conversion": form.result.conversion},
            )

    async def variant(self, tenant: str, model: str, version: int, name: str) -> Variant:
        """One variant.

        Raises:
            ModelError: ``MODEL_001`` if there is no such version or variant.
            Conflict: ``STATE_001`` if it was rejected.
        """
        found = await self._models.version(tenant, model, version)
        await self.check_not_rejected(found, name)
        variant = found.variant(name)
        if variant is None:
            raise ModelError(
                ErrorCode.MODEL_NOT_FOUND, f"Version '{tenant}/{model}@{version}' has no variant {name[:100]!r}."
            )
        return variant

    async def manifest(self, tenant: str, variant: Variant) -> bytes:
        """The signed manifest's bytes, checked against their digest."""
        return await self._store.read(tenant, variant.digest, limit=MAX_MANIFEST_BYTES)

    async def signature(self, tenant: str, variant: Variant) -> bytes:
        """The signature bundle's bytes, checked against their digest."""
        return await self._store.read(tenant, variant.signature_digest, limit=MAX_SIGNATURE_BYTES)

    async def content(self, tenant: str, variant: Variant, path: str) -> Content:
        """One file of a variant.

        Raises:
            NotFound: ``STORE_002`` if it has no such file.
        """
        manifest = Manifest.from_bytes(await self.manifest(tenant, variant))
        for entry in manifest.files:
            if entry.path == path:
                chunks = self._store.stream(tenant, entry.digest)
                return Content(digest=entry.digest, size=entry.size, chunks=chunks)
        raise NotFound(ErrorCode.BLOB_NOT_FOUND, f"Variant {variant.name!r} has no file {path[:200]!r}.")


class Descendants:
    """Knows what was made of what, for whoever revokes."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def of(self, tenant: str, digest: Digest) -> frozenset[Digest]:
        """Manifests of everything that was converted from a manifest, from what was converted from it, and so on."""
        async with self._db.read(tenant) as session:
            return await ConversionRepository(session, tenant).made_of([digest])


def _form(variant: Variant, result: Result | None, policy: TrustPolicy) -> Form:
    revoked = policy.revoked_digests & {variant.digest} or variant.key_id in policy.revoked_keys
    state = FormState.SOURCE if variant.source else FormState.ACCEPTED
    return Form(name=variant.name, state=FormState.REVOKED if revoked else state, variant=variant, result=result)
