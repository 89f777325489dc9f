# SPDX-License-Identifier: Apache-2.0
"""History as the API speaks of it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from registry_api.audit.entries import Entry
from registry_api.audit.verifying import Finding, Verdict
from registry_api.http.fields import Outgoing, Timestamp


class EntryOut(Outgoing):
    """One entry of a tenant's history."""

    seq: int = Field(description="1, 2, 3 ... without a gap.")
    at: Timestamp
    actor: str = Field(description="Name of the API key, or of the part of the platform.")
    actor_key: str = Field(description="Id of the API key; empty: the platform itself.")
    action: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str
    evidence: dict[str, Any] | None
    previous: str = Field(description="Hash of the entry before it.")
    hash: str = Field(description="SHA-256 of the entry's canonical JSON (RFC 8785).")

    @classmethod
    def of(cls, entry: Entry) -> EntryOut:
        """Shows an entry."""
        event = entry.event
        return cls(
            seq=entry.seq,
            at=entry.at,
            actor=event.actor,
            actor_key=event.actor_key,
            action=event.action,
            subject=event.subject,
            before=None if event.before is None else dict(event.before),
            after=None if event.after is None else dict(event.after),
            reason=event.reason,
            evidence=None if event.evidence is None else dict(event.evidence),
            previous=entry.previous,
            hash=entry.hash,
        )


class FindingOut(Outgoing):
    """One place where a chain does not fit."""

    seq: int = Field(description="The entry.")
    problem: str

    @classmethod
    def of(cls, finding: Finding) -> FindingOut:
        """Shows a finding."""
        return cls(seq=finding.seq, problem=finding.problem)


class VerdictOut(Outgoing):
    """What the verification of the tenant's history came to."""

    intact: bool
    entries: int
    checkpoints: int = Field(description="Signatures that vouch for it.")
    signed_seq: int = Field(description="The last entry that one vouches for; 0: none.")
    findings: list[FindingOut]

    @classmethod
    def of(cls, verdict: Verdict) -> VerdictOut:
        """Shows a verdict."""
        return cls(
            intact=not verdict.findings,
            entries=verdict.entries,
            checkpoints=verdict.checkpoints,
            signed_seq=verdict.signed_seq,
            findings=[FindingOut.of(finding) for finding in verdict.findings],
        )
