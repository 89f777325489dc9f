# SPDX-License-Identifier: Apache-2.0
"""Approvals and evidence as the API speaks of them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from registry_api.http.fields import Incoming, Outgoing, Text, Timestamp
from registry_api.promotion.evidence import Kind
from registry_api.promotion.gate_schemas import Target
from registry_api.promotion.values import Approval, Evidence


class ApprovalIn(Incoming):
    """A yes to one state of a version."""

    target: Target
    state: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] = Field(description="From the readiness report.")
    comment: Text = ""


class ApprovalOut(Outgoing):
    """One person's yes."""

    id: int
    model: str
    version: int
    target: str
    state: str
    approver: str
    approver_key: str
    comment: str
    at: Timestamp
    withdrawn_at: Timestamp | None

    @classmethod
    def of(cls, approval: Approval) -> ApprovalOut:
        """Shows an approval."""
        return cls(
            id=approval.id,
            model=approval.model,
            version=approval.version,
            target=approval.target,
            state=approval.digest,
            approver=approval.approver,
            approver_key=approval.approver_key,
            comment=approval.comment,
            at=approval.at,
            withdrawn_at=approval.withdrawn_at,
        )


class EvidenceIn(Incoming):
    """A document about a version."""

    kind: Kind
    content: dict[str, Any] = Field(description="As its kind needs: see the reference of gates.")


class EvidenceOut(Outgoing):
    """A document about a version."""

    id: int
    model: str
    version: int
    kind: Kind
    digest: str = Field(description="Of the content's canonical JSON (RFC 8785).")
    content: dict[str, Any]
    signature: str = Field(description="Sigstore bundle by the tenant's key.")
    author: str
    author_key: str
    at: Timestamp

    @classmethod
    def of(cls, evidence: Evidence) -> EvidenceOut:
        """Shows a document."""
        return cls(
            id=evidence.id,
            model=evidence.model,
            version=evidence.version,
            kind=Kind(evidence.kind),
            digest=evidence.digest,
            content=dict(evidence.content),
            signature=evidence.signature.decode(),
            author=evidence.author,
            author_key=evidence.author_key,
            at=evidence.at,
        )
