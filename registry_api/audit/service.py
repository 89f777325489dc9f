# SPDX-License-Identifier: Apache-2.0
"""Reads, signs, exports and verifies history.

An entry is signed after its transaction, never inside: key custody may be a service elsewhere, and no promotion waits for it
or fails with it. The server signs every chain's end at intervals, before an export, and when asked to verify; entries that
are younger than the last checkpoint are protected by the chain alone. A process signs nothing that does not go on where it
signed last: whoever rewrites a chain and removes its checkpoints does not get new ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

import rfc8785

from artifacts.digest import Digest
from artifacts.keys.interface import KeyProvider
from core.clock import Clock, rfc3339
from core.errors import Conflict, ErrorCode, FuroshikiError, OperatorError
from core.telemetry.logs import get_logger
from registry_api.audit.checkpoints import sign_checkpoint
from registry_api.audit.entries import GENESIS, Entry
from registry_api.audit.repository import AuditRepository, Head, heads_to_sign, tenants_with_history
from registry_api.audit.verifying import Finding, Verdict, verify_chain
from registry_api.db.session import EVERY_TENANT, Database
from registry_api.http.pagination import Listing, PageRequest

SIGNING_SECONDS: Final = 30.0
"""How long an entry may be without a signature while key custody answers."""
EXPORT_FORMAT: Final = "furoshiki-audit/v1"

_log = get_logger(__name__)


class AuditService:
    """The histories of all tenants, one at a time."""

    def __init__(self, db: Database, keys: KeyProvider, clock: Clock) -> None:
        self._db = db
        self._keys = keys
        self._clock = clock
        self._signed_ends: dict[str, tuple[int, Digest]] = {}  # by tenant: what this process signed last

    async def page(
        self, tenant: str, request: PageRequest, *, resource: str | None = None, action: str | None = None
    ) -> Listing[Entry]:
        """Entries newest first, of one resource or of one kind if wanted."""
        async with self._db.read(tenant) as session:
            return await AuditRepository(session, tenant).page(request, resource=resource, action=action)

    async def sign(self, tenant: str) -> None:
        """Signs the end of a tenant's chain, unless it is signed already or there is nothing.

        Raises:
            FuroshikiError: If key custody or the database cannot answer now.
        """
        async with self._db.read(tenant) as session:
            head = await AuditRepository(session, tenant).head()
        await self._sign(head)

    async def sign_all(self) -> int:
        """Signs every end that is not; how many. A tenant whose key cannot be used does not keep the others waiting."""
        async with self._db.read(EVERY_TENANT) as session:
            heads = await heads_to_sign(session)
        signed = 0
        for head in heads:
            try:
                await self._sign(head)
                signed += 1
            except FuroshikiError as error:
                _log.warning("history_not_signed", tenant=head.tenant, seq=head.seq, code=error.code)
        return signed

    async def keep_signing(self) -> None:
        """Signs at intervals until it is cancelled, and once more then."""
        try:
            while True:
                try:
                    await self.sign_all()
                except FuroshikiError as error:
                    _log.warning("history_not_signed", code=error.code, **error.log_context)
                await asyncio.sleep(SIGNING_SECONDS)
        finally:
            with suppress(FuroshikiError):
                await self.sign_all()

    async def verify(self, tenant: str) -> Verdict:
        """Recomputes a tenant's whole chain as it is stored."""
        with suppress(OperatorError, Conflict):  # a key that cannot be used is no reason not to look
            await self.sign(tenant)
        policy = await asyncio.to_thread(self._keys.policy, tenant)
        async with self._db.read(tenant) as session:
            chain = AuditRepository(session, tenant)
            verdict = await verify_chain(chain.records(), await chain.head(), await chain.checkpoints(), policy)
            forgotten = await self._forgotten(chain, tenant)
        return verdict if forgotten is None else replace(verdict, findings=(*verdict.findings, forgotten))

    async def tenants(self) -> Sequence[str]:
        """Every tenant that has a history, by name."""
        async with self._db.read(EVERY_TENANT) as session:
            return await tenants_with_history(session)

    async def export(self, tenant: str) -> AsyncIterator[bytes]:
        """The signed history as JSON lines, one canonical object each: a header, entries, checkpoints after their entry.

        Raises:
            FuroshikiError: If key custody or the database cannot answer now.
        """
        with suppress(Conflict):  # a history that was rewritten can be taken away to be looked at
            await self.sign(tenant)
        yield _line({"format": EXPORT_FORMAT, "tenant": tenant, "at": rfc3339(self._clock.now())})
        async with self._db.read(tenant) as session:
            chain = AuditRepository(session, tenant)
            checkpoints = {checkpoint.seq: checkpoint.document for checkpoint in await chain.checkpoints()}
            async for record in chain.records():
                yield _line({"seq": record.seq, "hash": record.hash, "document": record.document.decode()})
                if record.seq in checkpoints:
                    yield _line({"checkpoint": record.seq, "bundle": checkpoints[record.seq].decode()})

    async def _sign(self, head: Head) -> None:
        if head.signed_seq >= head.seq:
            return
        async with self._db.read(head.tenant) as session:
            forgotten = await self._forgotten(AuditRepository(session, head.tenant), head.tenant)
        if forgotten is not None:
            _log.error("history_rewritten", tenant=head.tenant, seq=forgotten.seq)
            raise Conflict(
                ErrorCode.STATE_CONFLICT, f"The history is not signed: at entry {forgotten.seq} {forgotten.problem}."
            )
        document = await asyncio.to_thread(self._signed, head)
        async with self._db.write(head.tenant) as session:
            await AuditRepository(session, head.tenant).add_checkpoint(head.seq, document)
        self._signed_ends[head.tenant] = (head.seq, head.hash)

    async def _forgotten(self, chain: AuditRepository, tenant: str) -> Finding | None:
        """What this process signed last, if it is not in the chain any more."""
        seq, digest = self._signed_ends.get(tenant, (0, GENESIS))
        if seq == 0 or await chain.hash_at(seq) == digest:
            return None
        return Finding(seq=seq, problem=f"this process signed hash {digest}; that entry was cut off or rewritten")

    def _signed(self, head: Head) -> bytes:
        return sign_checkpoint(head.tenant, head.seq, head.hash, self._keys.signer(head.tenant))


def _line(fields: dict[str, str | int]) -> bytes:
    return rfc8785.dumps(fields) + b"\n"
