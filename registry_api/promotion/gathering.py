# SPDX-License-Identifier: Apache-2.0
"""Brings together what gates are decided on.

In two steps, because a transaction spans no long work. :meth:`Gatherer.check` asks key custody and reads the store, before
the transaction; :meth:`Gatherer.findings` reads the database, inside it. A version's bytes never change, so what was checked
a moment before holds; stage, evidence, approvals, card and gates are those of the transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import rfc8785

from artifacts.digest import Digest, digest_bytes
from artifacts.keys.interface import KeyProvider
from artifacts.manifest import MAX_MANIFEST_BYTES
from artifacts.signing.bundle import MAX_SIGNATURE_BYTES
from artifacts.signing.policy import Subject
from artifacts.signing.verifier import BundleVerifier
from artifacts.stores.interface import BlobStore
from core.clock import Clock
from core.errors import InvalidRequest, NotFound, SignatureError, StoreError
from registry_api.db.session import Session
from registry_api.http.auth import Principal
from registry_api.models.cards.repository import CardRepository
from registry_api.models.cards.values import Card
from registry_api.models.values import Version
from registry_api.promotion.evidence import measures_of, verify_evidence
from registry_api.promotion.gates import Findings, Gates
from registry_api.promotion.repository import ApprovalRepository, EvidenceRepository, Locked
from registry_api.promotion.values import Evidence


class Measurements(Protocol):
    """Knows how fast versions were measured; a higher slice has the tunings."""

    async def measured(self, session: Session, version: Version) -> Mapping[str, float]:
        """``p50_ms`` and ``rows_per_s`` of the newest tuning of the version's source variant; empty if there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Somebody wants a version somewhere."""

    mover: Principal
    version: Version
    locked: Locked  # its row
    target: str  # a stage, or "@alias"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was asked outside the transaction."""

    digest: Digest  # of the version it was asked for
    fault: str | None  # why its signature does not verify; None: it does
    verifier: BundleVerifier  # of the tenant, as it was then


class Gatherer:
    """Finds out what is known about a version.

    Args:
        store: Where manifests and signatures are.
        keys: Whom a tenant trusts.
        clock: For the validity of signatures, and for freezes.
        measurements: How fast it was measured.
    """

    def __init__(self, store: BlobStore, keys: KeyProvider, clock: Clock, measurements: Measurements) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._measurements = measurements

    async def check(self, version: Version) -> Checked:
        """Verifies the version's signature as it is now, by the keys and revocations of now."""
        policy = await asyncio.to_thread(self._keys.policy, version.tenant)
        verifier = BundleVerifier(policy, self._clock)
        try:
            manifest = await self._store.read(version.tenant, version.digest, limit=MAX_MANIFEST_BYTES)
            signature = await self._store.read(version.tenant, version.signature_digest, limit=MAX_SIGNATURE_BYTES)
            subject = Subject(tenant=version.tenant, model=version.model, version=version.version)
            verifier.verify_manifest(manifest, signature, subject=subject)
        except (SignatureError, StoreError, NotFound) as error:
            return Checked(digest=version.digest, fault=error.message, verifier=verifier)
        return Checked(digest=version.digest, fault=None, verifier=verifier)

    async def findings(self, session: Session, attempt: Attempt, gates: Gates, checked: Checked) -> Findings:
        """What is known now.

        Args:
            session: The transaction of the move.
            attempt: Who moves what where.
            gates: What that asks for.
            checked: From :meth:`check`.
        """
        version, locked, target = attempt.version, attempt.locked, attempt.target
        newest = await EvidenceRepository(session, version.tenant, locked).newest()
        faults = {kind: fault for kind, found in newest.items() if (fault := _fault(found, version, checked))}
        documents = {kind: found.content for kind, found in newest.items() if kind not in faults}
        card = await CardRepository(session, version.tenant).find(version.model, version.version)
        state = state_of(version, target, gates, newest, card)
        tuned = await self._measurements.measured(session, version)
        return Findings(
            now=self._clock.now(),
            state=state,
            signature_fault=checked.fault,
            documents=documents,
            faults=faults,
            measured={**tuned, **measures_of(documents.get("latency", {}))},
            card=card,
            approvals=await ApprovalRepository(session, version.tenant, locked).standing(target, state),
            author_key=locked.author_key,
            mover_key=attempt.mover.key_id,
            mover_roles=attempt.mover.roles,
        )


def state_of(version: Version, target: str, gates: Gates, newest: Mapping[str, Evidence], card: Card | None) -> Digest:
    """The digest that an approval names: of the version, where it goes, the evidence, the card and what was asked for.

    Whatever of it changes, earlier approvals are for something else.
    """
    return digest_bytes(
        rfc8785.dumps(
            {
                "version": version.digest,
                "target": target,
                "evidence": {kind: found.digest for kind, found in newest.items()},
                "card": None if card is None else card.digest(),
                "gates": {
                    "approvals": gates.approvals,
                    "card_fields": list(gates.card_fields),
                    "mover_counts": gates.mover_counts,
                },
            }
        )
    )


def _fault(evidence: Evidence, version: Version, checked: Checked) -> str | None:
    subject = f"{version.tenant}/{version.model}@{version.version}"
    try:
        verify_evidence(evidence, subject=subject, version_digest=version.digest, verifier=checked.verifier)
    except (SignatureError, InvalidRequest) as error:
        return error.message
    return None
