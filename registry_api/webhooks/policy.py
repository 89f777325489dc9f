# SPDX-License-Identifier: Apache-2.0
"""What is refused to owners of webhooks, and in which words. Pure."""

from __future__ import annotations

from typing import Final

from core.errors import Conflict, ErrorCode, NotFound, Overloaded
from registry_api.webhooks.values import Webhook

_RETRY_SECONDS: Final = 3600.0


def no_webhook(webhook: str) -> NotFound:
    """The error for a webhook or delivery that the tenant does not have."""
    return NotFound(ErrorCode.WEBHOOK_NOT_FOUND, f"There is no webhook or delivery {webhook[:64]!r}.")


def check_enabled(webhook: Webhook) -> None:
    """Checks that something may be sent.

    Raises:
        Conflict: ``STATE_001`` if the webhook is switched off.
    """
    if not webhook.enabled:
        raise Conflict(
            ErrorCode.STATE_CONFLICT,
            f"Webhook {webhook.id!r} is switched off ({webhook.disabled_reason or 'by its owner'}); switch it on first.",
        )


def too_many(tenant: str, limit: int) -> Overloaded:
    """The error for one webhook more than a tenant may have."""
    return Overloaded(
        ErrorCode.QUOTA_EXCEEDED,
        f"Tenant {tenant!r} has {limit} webhooks, which is the limit. Remove one that is not needed.",
        retry_after=_RETRY_SECONDS,
    )
