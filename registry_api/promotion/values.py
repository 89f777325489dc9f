# SPDX-License-Identifier: Apache-2.0
"""What promotion speaks of, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from artifacts.digest import Digest
from registry_api.models.values import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChange:
    """One move of one version, as the chain has it."""

    seq: int  # place in the tenant's chain
    tenant: str
    model: str
    version: int
    before: Stage
    after: Stage
    cause: str  # see registry_api.promotion.history.Cause
    evidence: Mapping[str, Any] = field(default_factory=dict)  # what it was decided on
    reason: str
    actor: str  # name of the API key
    actor_key: str  # its id
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One person's yes to one state of one version."""

    id: int
    model: str
    version: int
    target: str  # what it is approved for: "PRODUCTION", "@champion"
    digest: Digest  # of the state that was approved; see registry_api.promotion.state
    approver: str  # name of the API key
    approver_key: str  # its id
    comment: str
    at: datetime
    withdrawn_at: datetime | None  # None: it stands


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One document about a version."""

    id: int
    model: str
    version: int
    kind: str  # see registry_api.promotion.evidence.Kind
    digest: Digest  # of the content's canonical JSON
    content: Mapping[str, Any]
    signature: bytes  # a Sigstore bundle over kind, digest and version
    author: str  # name of the API key
    author_key: str  # its id
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """A movable name of a version."""

    model: str
    name: str
    version: int
    moved_at: datetime
    moved_by: str  # name of the API key
