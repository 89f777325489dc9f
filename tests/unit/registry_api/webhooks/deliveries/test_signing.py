# SPDX-License-Identifier: Apache-2.0
"""Messages are signed as the Standard Webhooks specification says, and a receiver can check them."""

from __future__ import annotations

import base64
import hashlib
import hmac

import orjson

from core.clock import ManualClock
from registry_api.webhooks.deliveries.signing import body_of, headers_of
from registry_api.webhooks.secrets import shown
from registry_api.webhooks.values import Event, EventKind

SECRET = bytes(range(32))


def event() -> Event:
    return Event(
        id="evt_1",
        tenant="acme",
        kind=EventKind.VERSION_STAGE_CHANGED,
        subject="digits@3",
        old={"stage": "STAGING"},
        new={"stage": "PRODUCTION"},
        actor="ci",
        at=ManualClock().now(),
    )


def test_the_body_tells_old_and_new() -> None:
    """Type, time and data: whose, what, who, before and after."""
    assert orjson.loads(body_of(event())) == {
        "type": "version.stage_changed",
        "timestamp": "2026-01-01T00:00:00.000Z",
        "data": {
            "tenant": "acme",
            "subject": "digits@3",
            "actor": "ci",
            "old": {"stage": "STAGING"},
            "new": {"stage": "PRODUCTION"},
        },
    }


def test_a_receiver_checks_the_signature_with_the_secret_it_was_shown() -> None:
    """base64(HMAC-SHA256(secret, "id.timestamp.body")) under the key after ``whsec_``."""
    body = body_of(event())
    headers = headers_of(event(), body, secret=SECRET, timestamp=1_700_000_000)
    key = base64.b64decode(shown(SECRET).removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    version, _, value = headers["webhook-signature"].partition(",")
    assert version == "v1"
    assert base64.b64decode(value) == hmac.new(key, signed, hashlib.sha256).digest()
    assert headers["webhook-timestamp"] == "1700000000"
