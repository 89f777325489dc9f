# SPDX-License-Identifier: Apache-2.0
"""Webhooks and deliveries as the API speaks of them."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from pydantic import Field

from registry_api.http.fields import Incoming, Name, Outgoing, Timestamp
from registry_api.webhooks.values import (
    Delivery,
    DeliveryAttempt,
    DeliveryReport,
    DeliveryState,
    EventKind,
    NewWebhook,
    Webhook,
    WebhookWish,
)

_URL: Final = r"^https?://[!-~]+$"
_DESCRIPTION: Final = r"^[^\x00-\x1f\x7f]*$"

_Url: TypeAlias = Annotated[
    str, Field(pattern=_URL, max_length=2000, examples=["https://ci.example.com/hooks/furoshiki"])
]
_Description: TypeAlias = Annotated[str, Field(pattern=_DESCRIPTION, max_length=200)]
_Kinds: TypeAlias = Annotated[list[EventKind], Field(max_length=len(EventKind), description="Empty: all.")]
_Models: TypeAlias = Annotated[
    list[Name], Field(max_length=100, description="Empty: all, and events that are about no model.")
]


class WebhookIn(Incoming):
    """A webhook to be made."""

    url: _Url
    description: _Description = ""
    kinds: _Kinds = Field(default=[])
    models: _Models = Field(default=[])

    def value(self) -> WebhookWish:
        """What is asked for."""
        return WebhookWish(
            url=self.url,
            description=self.description,
            kinds=frozenset(self.kinds),
            models=frozenset(self.models),
        )


class WebhookChangeIn(Incoming):
    """What is to change of a webhook; what is missing stays as it is."""

    url: _Url = Field(default="")
    description: _Description = ""
    kinds: _Kinds = Field(default=[])
    models: _Models = Field(default=[])
    enabled: Annotated[bool, Field(strict=True)] = True

    def fields(self) -> dict[str, Any]:
        """The fields that were sent."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class WebhookOut(Outgoing):
    """A webhook, without its secret."""

    id: str
    url: str
    description: str
    kinds: list[EventKind]
    models: list[str]
    enabled: bool
    disabled_reason: str | None = Field(description="Why it was switched off; null if its owner did, or it is on.")
    failing_since: Timestamp | None = Field(description="The first failure since the last success.")
    created_at: Timestamp
    created_by: str

    @classmethod
    def of(cls, webhook: Webhook) -> WebhookOut:
        """Shows a webhook."""
        return cls(**_shown(webhook))


class NewWebhookOut(WebhookOut):
    """A new webhook with its secret, shown this once."""

    secret: str = Field(description="Deliveries are signed with it (Standard Webhooks). Keep it now.")

    @classmethod
    def made(cls, new: NewWebhook) -> NewWebhookOut:
        """Shows a new webhook."""
        return cls(**_shown(new.webhook), secret=new.secret)


class DeliveryOut(Outgoing):
    """One event for one webhook."""

    id: str
    event: str = Field(description="The `webhook-id` of the message, the same at every attempt.")
    kind: EventKind
    subject: str
    state: DeliveryState
    attempts: int = Field(description="Since it was made, or asked for again.")
    due_at: Timestamp | None = Field(description="The next attempt; null: at once, or none.")
    created_at: Timestamp
    ended_at: Timestamp | None

    @classmethod
    def of(cls, delivery: Delivery) -> DeliveryOut:
        """Shows a delivery."""
        return cls(**_shown_delivery(delivery))


class AttemptOut(Outgoing):
    """One attempt to deliver."""

    at: Timestamp
    milliseconds: int
    status: int | None = Field(description="Null: no answer.")
    error: str | None = Field(description="Null: delivered.")
    response: str | None = Field(description="The beginning of the answer's body.")

    @classmethod
    def of(cls, attempt: DeliveryAttempt) -> AttemptOut:
        """Shows an attempt."""
        return cls(
            at=attempt.at,
            milliseconds=attempt.milliseconds,
            status=attempt.status,
            error=attempt.error,
            response=attempt.response,
        )


class DeliveryReportOut(DeliveryOut):
    """A delivery with its log."""

    log: list[AttemptOut] = Field(description="Every attempt, oldest first.")

    @classmethod
    def report(cls, report: DeliveryReport) -> DeliveryReportOut:
        """Shows a delivery and its attempts."""
        return cls(**_shown_delivery(report.delivery), log=[AttemptOut.of(attempt) for attempt in report.attempts])


def _shown(webhook: Webhook) -> dict[str, Any]:
    return {
        "id": webhook.id,
        "url": webhook.url,
        "description": webhook.description,
        "kinds": sorted(webhook.kinds),
        "models": sorted(webhook.models),
        "enabled": webhook.enabled,
        "disabled_reason": webhook.disabled_reason,
        "failing_since": webhook.failing_since,
        "created_at": webhook.created_at,
        "created_by": webhook.created_by,
    }


def _shown_delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "event": delivery.event.id,
        "kind": delivery.event.kind,
        "subject": delivery.event.subject,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "due_at": delivery.due_at,
        "created_at": delivery.created_at,
        "ended_at": delivery.ended_at,
    }
