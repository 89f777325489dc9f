# SPDX-License-Identifier: Apache-2.0
"""The message as it is sent and signed, after the Standard Webhooks specification 1.0.0.

webhook-id         the event's id; the same at every attempt, for receivers to drop what they have seen
webhook-timestamp  seconds since the epoch, of the attempt
webhook-signature  "v1," + base64(HMAC-SHA256(secret, id + "." + timestamp + "." + body))
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping

import orjson

from core.clock import rfc3339
from registry_api.webhooks.values import Event


def body_of(event: Event) -> bytes:
    """The JSON that is sent."""
    data = {
        "tenant": event.tenant,
        "subject": event.subject,
        "actor": event.actor,
        "old": event.old,
        "new": event.new,
    }
    return orjson.dumps({"type": event.kind, "timestamp": rfc3339(event.at), "data": data})


def headers_of(event: Event, body: bytes, *, secret: bytes, timestamp: int) -> Mapping[str, str]:
    """The headers that go with it.

    Args:
        event: What is told.
        body: From :func:`body_of`.
        secret: The webhook's.
        timestamp: Of the attempt, in seconds since the epoch.
    """
    return {
        "content-type": "application/json",
        "user-agent": "furoshiki-webhooks",
        "webhook-id": event.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(event.id, timestamp, body, secret),
    }


def signature(message_id: str, timestamp: int, body: bytes, secret: bytes) -> str:
    """The value of ``webhook-signature``."""
    signed = b"%b.%d.%b" % (message_id.encode("ascii"), timestamp, body)
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode("ascii")
