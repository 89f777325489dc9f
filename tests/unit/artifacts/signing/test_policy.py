# SPDX-License-Identifier: Apache-2.0
"""Trust policies: strict to read, complete to write."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from artifacts.digest import digest_bytes
from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.signing.p256 import EcdsaP256Signer
from artifacts.signing.policy import MAX_POLICY_BYTES, TrustedKey, TrustPolicy
from artifacts.testing import refused, trust
from core.errors import ErrorCode

SIGNER = Ed25519Signer.generate()


def full_policy() -> TrustPolicy:
    limited = TrustedKey(
        key_id=SIGNER.key_id,
        public_key=SIGNER.public_key.decode(),
        not_before=datetime(2026, 1, 1, tzinfo=UTC),
        not_after=datetime(2027, 1, 1, tzinfo=UTC),
    )
    return TrustPolicy(
        tenant="acme",
        keys=(limited, *trust(EcdsaP256Signer.generate()).keys),
        revoked_keys=frozenset({"0" * 64}),
        revoked_digests=frozenset({digest_bytes(b"x")}),
    )


def test_round_trip() -> None:
    """A policy reads back equal, limits and revocations included."""
    policy = full_policy()
    assert TrustPolicy.from_bytes(policy.to_bytes()) == policy


def test_layout_is_free() -> None:
    """A policy that a person laid out anew reads the same, and validity may be left out."""
    document = json.loads(trust(SIGNER).to_bytes())
    del document["keys"][0]["not_after"]
    assert TrustPolicy.from_bytes(json.dumps(document, indent=4).encode()) == trust(SIGNER)


def edited(edit: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(full_policy().to_bytes())
    edit(document)
    return json.dumps(document).encode()


MALFORMED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "truncated"),
    "huge": (b" " * (MAX_POLICY_BYTES + 1), "limit"),
    "schema version": (edited(lambda d: d.update(schema_version=3)), "schema_version"),
    "misspelt validity": (edited(lambda d: d["keys"][0].update(not_afer=None)), "not_afer"),
    "missing revocations": (edited(lambda d: d.pop("revoked_keys")), "revoked_keys"),
    "tenant": (edited(lambda d: d.update(tenant="../x")), "tenant"),
    "foreign key id": (edited(lambda d: d["keys"][0].update(key_id="1" * 64)), "not the id of its public key"),
    "key": (edited(lambda d: d["keys"][0].update(public_key="x")), "public key"),
    "naive time": (edited(lambda d: d["keys"][0].update(not_after="2026-01-01T00:00:00")), "not_after"),
    "revoked key": (edited(lambda d: d.update(revoked_keys=["abc"])), "revoked_keys"),
    "revoked key newline": (edited(lambda d: d.update(revoked_keys=["0" * 64 + "\n"])), "revoked_keys"),
    "revoked digest": (edited(lambda d: d.update(revoked_digests=["0" * 64])), "revoked_digests"),
}


@pytest.mark.parametrize(("data", "named"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_policy_trusts_nobody(data: bytes, named: str) -> None:
    """A policy that cannot be read is refused as a whole, naming the fault."""
    with refused(ErrorCode.SIGNER_UNTRUSTED, named, "Nothing is trusted"):
        TrustPolicy.from_bytes(data)


def test_key_times_need_an_offset() -> None:
    """A validity without an offset from UTC is refused."""
    with refused(ErrorCode.INVALID_FIELD, "offset from UTC"):
        TrustedKey(key_id=SIGNER.key_id, public_key=SIGNER.public_key.decode(), not_after=datetime(2026, 1, 1))  # noqa: DTZ001
