# SPDX-License-Identifier: Apache-2.0
"""Webhooks, events and deliveries as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class EventKind(StrEnum):
    """What can be told; names are stable."""

    MODEL_CREATED = "model.created"
    MODEL_UPDATED = "model.updated"
    MODEL_DELETED = "model.deleted"
    MODEL_RESTORED = "model.restored"
    MODEL_PURGED = "model.purged"
    VERSION_REGISTERED = "version.registered"
    VERSION_APPROVED = "version.approved"
    VERSION_REVOKED = "version.revoked"
    VERSION_DELETED = "version.deleted"
    VERSION_RESTORED = "version.restored"
    VERSION_PURGED = "version.purged"
    VERSION_STAGE_CHANGED = "version.stage_changed"
    ALIAS_MOVED = "alias.moved"
    CONVERSION_FINISHED = "conversion.finished"
    BUILD_FINISHED = "build.finished"
    IMAGE_FINISHED = "image.finished"
    DEPLOYMENT_CHANGED = "deployment.changed"
    KEY_CREATED = "key.created"
    KEY_REVOKED = "key.revoked"
    WEBHOOK_TEST = "webhook.test"  # asked for by the webhook's owner; sent to that webhook only


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change. ``old`` and ``new`` describe the subject before and after; None: it did not exist."""

    id: str
    tenant: str
    kind: EventKind
    subject: str  # 'model', 'model@version', 'model@alias', 'build/id', 'image/id', 'deployment/name', 'key/id'
    old: Mapping[str, Any] | None
    new: Mapping[str, Any] | None
    actor: str
    at: datetime

    @property
    def model(self) -> str | None:
        """The model it is about: what the documents name, else the subject's; None if it is about none."""
        for document in (self.new, self.old):
            named = (document or {}).get("model")
            if isinstance(named, str):
                return named
        return None if "/" in self.subject else self.subject.partition("@")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Who wants to be told what. The secret is in no value but :class:`NewWebhook`, which exists once."""

    id: str
    tenant: str
    url: str
    description: str
    kinds: frozenset[EventKind]  # empty: all
    models: frozenset[str]  # empty: all, and what is about no model
    enabled: bool
    disabled_reason: str | None  # None: enabled, or switched off by its owner
    failing_since: datetime | None  # first failure since the last success
    created_at: datetime
    created_by: str

    def wants(self, event: Event) -> bool:
        """Whether it is to be told of the event."""
        if not self.enabled or (self.kinds and event.kind not in self.kinds):
            return False
        return not self.models or event.model in self.models


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWebhook:
    """A new webhook and its only plaintext secret, ``whsec_…``."""

    webhook: Webhook
    secret: str


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"  # waits for its first or next attempt, or is being sent
    DELIVERED = "delivered"  # the receiver answered 2xx
    DEAD = "dead"  # given up; it can be asked for again


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event for one webhook."""

    number: int  # order of creation
    id: str
    webhook: str
    event: Event
    state: DeliveryState
    attempts: int  # since it was written or asked for again
    due_at: datetime | None  # of the next attempt; None: at once, or it has ended
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryAttempt:
    """What came of one attempt."""

    at: datetime
    milliseconds: int
    status: int | None  # None: no answer
    error: str | None  # None: delivered
    response: str | None  # the beginning of the answer's body


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookWish:
    """What a caller asks for."""

    url: str
    description: str = ""
    kinds: frozenset[EventKind] = frozenset()  # empty: all
    models: frozenset[str] = frozenset()  # empty: all


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryReport:
    """A delivery and the log of its attempts, oldest first."""

    delivery: Delivery
    attempts: tuple[DeliveryAttempt, ...]
