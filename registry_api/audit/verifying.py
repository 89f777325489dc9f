# SPDX-License-Identifier: Apache-2.0
"""Recomputes a chain and says where it does not fit. Pure: records in, findings out; nothing the database says is believed.

| what was done to the database          | how it shows                                               |
| -------------------------------------- | ---------------------------------------------------------- |
| a byte of an entry changed             | its document does not have its hash, or its columns differ  |
| an entry removed                       | its number is missing                                      |
| an entry inserted or moved             | it does not follow the entry before it                     |
| another tenant's entry put in          | it names that tenant                                       |
| hashes recomputed after a change       | the next checkpoint vouches for another hash               |
| the tail cut off                       | the head, or a checkpoint, knows of a later entry          |
| the checkpoints behind a change gone   | the head, or the process that signed, knows of one         |

What it cannot show: a tail cut off or rewritten together with the head and with every checkpoint behind the cut, before the
registry was started. An export kept elsewhere shows that (``furo audit verify --against``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from artifacts.digest import Digest, digest_bytes
from artifacts.signing.policy import TrustPolicy
from core.clock import rfc3339
from registry_api.audit.checkpoints import checkpoint_fault
from registry_api.audit.entries import GENESIS, Entry, read_entry, resource_of
from registry_api.audit.repository import Head, Record, StoredCheckpoint

MAX_FINDINGS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One place where a chain does not fit."""

    seq: int  # the entry
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the verification of one tenant's chain came to."""

    tenant: str
    entries: int  # that were read
    checkpoints: int  # that vouch for them
    signed_seq: int  # up to where; 0: nowhere
    findings: tuple[Finding, ...]  # at most MAX_FINDINGS; empty: history is what was written


async def verify_chain(
    records: AsyncIterator[Record], head: Head, checkpoints: Sequence[StoredCheckpoint], policy: TrustPolicy
) -> Verdict:
    """Makes every check on one tenant's chain.

    Args:
        records: The chain as stored, in the order of its numbers.
        head: What the database says is its end.
        checkpoints: What vouches for it, in order.
        policy: Whom the tenant trusts.
    """
    walk = _Walk(policy, checkpoints)
    async for record in records:
        walk.take(record)
    walk.end(head)
    return Verdict(
        tenant=policy.tenant,
        entries=walk.entries,
        checkpoints=walk.vouched,
        signed_seq=walk.signed_seq,
        findings=tuple(walk.findings[:MAX_FINDINGS]),
    )


class _Walk:
    """Goes along a chain."""

    def __init__(self, policy: TrustPolicy, checkpoints: Sequence[StoredCheckpoint]) -> None:
        self._policy = policy
        self._checkpoints = {checkpoint.seq: checkpoint.document for checkpoint in checkpoints}
        self._places = frozenset(self._checkpoints)
        self._ends: frozenset[Digest] = frozenset({GENESIS})  # hashes that the next entry may name: stored and computed
        self._seq = 0
        self._at = ""
        self.entries = 0
        self.vouched = 0
        self.signed_seq = 0
        self.findings: list[Finding] = []

    def take(self, record: Record) -> None:
        """Checks the next entry."""
        self.entries += 1
        if record.seq != self._seq + 1:
            self._check_gap(record.seq)
        computed = digest_bytes(record.document)
        try:
            entry = read_entry(record.document)
        except ValueError as error:
            self._find(record.seq, f"its document {error}")
        else:
            self._check_entry(record, entry)
        if computed != record.hash:
            self._find(record.seq, f"its document has hash {computed}; expected {record.hash}")
        document = self._checkpoints.pop(record.seq, None)
        if document is not None:
            self._check_checkpoint(record.seq, record.hash, document)
        self._seq, self._at = record.seq, record.at
        self._ends = frozenset({record.hash, computed})

    def end(self, head: Head) -> None:
        """Checks where the chain ends."""
        if head.seq != self._seq:
            self._find(
                self._seq + 1, f"the head says that the chain ends with entry {head.seq}; it ends with {self._seq}"
            )
        elif head.hash not in self._ends:
            self._find(self._seq, f"the head says that its hash is {head.hash}")
        for seq in sorted(self._checkpoints):
            self._find(seq, "a checkpoint vouches for this entry, and it is not there")
        if head.signed_seq and head.signed_seq not in self._places:
            self._find(head.signed_seq, "the head says that a checkpoint vouches for this entry, and there is none")

    def _check_gap(self, seq: int) -> None:
        if seq > self._seq + 1:
            missing = f"entries {self._seq + 1} to {seq - 1} are" if seq > self._seq + 2 else f"entry {seq - 1} is"
            self._find(self._seq + 1, f"{missing} missing")
        else:
            self._find(seq, "its number is not one of a chain")

    def _check_entry(self, record: Record, entry: Entry) -> None:
        event = entry.event
        if event.tenant != self._policy.tenant:
            self._find(record.seq, f"it is an entry of tenant {event.tenant[:63]!r}")
        if entry.seq != record.seq:
            self._find(record.seq, f"its document says that it is entry {entry.seq}")
        if entry.previous not in self._ends:
            self._find(
                record.seq, "it does not follow the entry before it: one was inserted, moved, removed or rewritten"
            )
        copies = (rfc3339(entry.at), event.action, resource_of(event.subject))
        if copies != (record.at, record.action, record.resource):
            self._find(record.seq, "the columns it is found by differ from its document")
        if rfc3339(entry.at) < self._at:
            self._find(record.seq, "it is older than the entry before it")

    def _check_checkpoint(self, seq: int, digest: Digest, document: bytes) -> None:
        fault = checkpoint_fault(document, self._policy, seq, digest)
        if fault is None:
            self.vouched += 1
            self.signed_seq = seq
        else:
            self._find(
                seq,
                f"its checkpoint does not vouch for it: {fault}; something after entry {self.signed_seq} was rewritten",
            )

    def _find(self, seq: int, problem: str) -> None:
        self.findings.append(Finding(seq=seq, problem=problem))
