# SPDX-License-Identifier: Apache-2.0
"""What a conversion says to the gate ``parity`` of a stage: whether the form that was asked for answers as its source does.

Rules. A rejected form fails the gate until a newer conversion, or a document that somebody adds, passes. Bounds of the
caller's own can fail the gate and never pass it. Forms that ``auto`` tried beside the one asked for decide nothing: most are
rejected only because another is better. About a version with as many documents as there may be, no more is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from artifacts.signing.interface import Signer
from registry_api.conversions.values import Made, Plan
from registry_api.db.session import Session
from registry_api.models.values import Version
from registry_api.promotion.evidence import Kind, digest_of, sign_evidence
from registry_api.promotion.repository import EvidenceRepository, find_version
from registry_api.promotion.review.evidence import MAX_DOCUMENTS
from registry_api.promotion.values import Evidence

AUTHOR: Final = "furoshiki-registry"


def parity_of(plan: Plan, made: Sequence[Made]) -> dict[str, Any] | None:
    """The content of the document; None: there is nothing to say."""
    asked = next((each.result for each in made if each.result.variant == plan.target.variant), None)
    if asked is None or (asked.accepted and plan.thresholds):
        return None
    return {
        "passed": asked.accepted,
        "conversion": asked.conversion,
        "variant": asked.variant,
        "reasons": list(asked.reasons),
        "report": asked.report_digest,
    }


def parity_evidence(content: Mapping[str, Any], version: Version, signer: Signer, now: datetime) -> Evidence:
    """The document, signed for the version. May ask another machine to sign, so this blocks."""
    digest = digest_of(content)
    subject = f"{version.tenant}/{version.model}@{version.version}"
    return Evidence(
        id=0,
        model=version.model,
        version=version.version,
        kind=Kind.PARITY,
        digest=digest,
        content=content,
        signature=sign_evidence(Kind.PARITY, digest, subject=subject, version_digest=version.digest, signer=signer),
        author=AUTHOR,
        author_key="",
        at=now,
    )


async def add_evidence(session: Session, tenant: str, evidence: Evidence) -> None:
    """Writes the document, unless the version has too many.

    Raises:
        ModelError: ``MODEL_001`` if the version is gone.
    """
    version = await find_version(session, tenant, evidence.model, evidence.version)
    documents = EvidenceRepository(session, tenant, version)
    if await documents.count() < MAX_DOCUMENTS:
        await documents.add(evidence)
