# SPDX-License-Identifier: Apache-2.0
"""Adds evidence to versions. A document is never changed; the newest of its kind counts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from artifacts.keys.interface import KeyProvider
from core.clock import Clock
from core.errors import Conflict, ErrorCode
from registry_api.audit.record import record
from registry_api.db.session import Database
from registry_api.http.auth import Principal
from registry_api.http.pagination import Listing, PageRequest
from registry_api.models.service import found_version
from registry_api.models.values import Version
from registry_api.promotion.evidence import Kind, check_content, digest_of, sign_evidence
from registry_api.promotion.repository import EvidenceRepository, find_version, lock_version
from registry_api.promotion.values import Evidence

EVIDENCE_ADDED: Final = "version.evidence_added"
MAX_DOCUMENTS: Final = 256  # about one version


class EvidenceService:
    """The evidence about the caller's tenant's versions."""

    def __init__(self, db: Database, clock: Clock, keys: KeyProvider) -> None:
        self._db = db
        self._clock = clock
        self._keys = keys

    async def page(self, tenant: str, model: str, version: int, request: PageRequest) -> Listing[Evidence]:
        """Documents about a version, newest first.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such version.
        """
        async with self._db.read(tenant) as session:
            locked = await find_version(session, tenant, model, version)
            return await EvidenceRepository(session, tenant, locked).page(request)

    async def add(
        self, principal: Principal, model: str, version: int, kind: Kind, content: Mapping[str, Any]
    ) -> Evidence:
        """Adds a document, signed for that version.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such version.
            InvalidRequest: ``VALID_002`` if the document lacks what its kind needs.
            Conflict: ``STATE_001`` if the version has too many documents.
        """
        check_content(kind, content)
        async with self._db.read(principal.tenant) as session:
            found = await found_version(session, principal.tenant, model, version)
        signed = await asyncio.to_thread(self._signed, principal, found, kind, content)
        async with self._db.write(principal.tenant) as session:
            locked = await lock_version(session, principal.tenant, model, version)
            documents = EvidenceRepository(session, principal.tenant, locked)
            if await documents.count() >= MAX_DOCUMENTS:
                raise Conflict(
                    ErrorCode.STATE_CONFLICT,
                    f"There are {MAX_DOCUMENTS} documents about '{model}@{version}'; that is the limit.",
                )
            added = await documents.add(signed)
            await record(
                session,
                tenant=principal.tenant,
                actor=principal.name,
                actor_key=principal.key_id,
                action=EVIDENCE_ADDED,
                subject=f"{model}@{version}",
                before=None,
                after={"kind": kind, "digest": added.digest},
                reason="",
                evidence={"digest": found.digest},
                at=self._clock.now(),
            )
        return added

    def _signed(self, principal: Principal, version: Version, kind: Kind, content: Mapping[str, Any]) -> Evidence:
        digest = digest_of(content)
        signature = sign_evidence(
            kind,
            digest,
            subject=f"{version.tenant}/{version.model}@{version.version}",
            version_digest=version.digest,
            signer=self._keys.signer(version.tenant),
        )
        return Evidence(
            id=0,
            model=version.model,
            version=version.version,
            kind=kind,
            digest=digest,
            content=content,
            signature=signature,
            author=principal.name,
            author_key=principal.key_id,
            at=self._clock.now(),
        )
