# SPDX-License-Identifier: Apache-2.0
"""The laws of :mod:`artifacts.signing.standing`, for policies of any order and content."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.signing.policy import TrustedKey, TrustPolicy
from artifacts.signing.standing import check_standing, newest, tightened
from artifacts.testing import trust
from core.errors import SignatureError

SIGNERS: Final = [Ed25519Signer.generate() for _ in range(3)]
KEYS: Final = trust(*SIGNERS).keys
START: Final = datetime(2026, 1, 1, tzinfo=UTC)
DIGESTS: Final = ["sha256:" + digit * 64 for digit in "abc"]

moments = st.none() | st.integers(0, 10).map(lambda days: START + timedelta(days=days))
keys = st.builds(
    lambda key, start, end: replace(key, not_before=start, not_after=end), st.sampled_from(KEYS), moments, moments
)
policies = st.builds(
    lambda keys, revoked, digests, serial, issued: TrustPolicy(
        tenant="acme",
        keys=tuple({key.key_id: key for key in keys}.values()),
        revoked_keys=frozenset(revoked),
        revoked_digests=frozenset(digests),
        serial=serial,
        issued_at=issued,
    ),
    st.lists(keys, max_size=4),
    st.sets(st.sampled_from([key.key_id for key in KEYS])),
    st.sets(st.sampled_from(DIGESTS)),
    st.integers(0, 4),
    moments,
)


def stands(policy: TrustPolicy, key: TrustedKey, digest: str, now: datetime) -> bool:
    try:
        check_standing(policy, key_id=key.key_id, covered=frozenset({digest}), now=now)
    except SignatureError:
        return False
    return True


@given(policies, policies, st.sampled_from(KEYS), st.sampled_from(DIGESTS), st.integers(0, 10))
def test_tightened_only_takes_away(own: TrustPolicy, by: TrustPolicy, key: TrustedKey, digest: str, day: int) -> None:
    """Whatever the other policy says, nobody stands under the result who does not stand under the first."""
    now = START + timedelta(days=day)
    assert stands(own, key, digest, now) or not stands(tightened(own, by), key, digest, now)


@given(st.lists(policies, min_size=1, max_size=6))
def test_newest_never_goes_back(offered: list[TrustPolicy]) -> None:
    """In whatever order policies arrive, the serial and the time never fall and no revocation is ever lost."""
    known = offered[0]
    for policy in offered[1:]:
        after = newest(known, policy)
        assert after.serial >= known.serial
        assert after.serial == max(known.serial, policy.serial)
        assert after.revoked_keys >= known.revoked_keys | policy.revoked_keys
        assert after.revoked_digests >= known.revoked_digests | policy.revoked_digests
        assert after.present(START) >= known.present(START)
        known = after


@given(policies)
def test_a_policy_comes_back(policy: TrustPolicy) -> None:
    """Written and read, with or without a serial, it is the same."""
    assert TrustPolicy.from_bytes(policy.to_bytes()) == policy


@given(policies, st.integers(-5, 5))
def test_a_change_is_never_issued_earlier(policy: TrustPolicy, days: int) -> None:
    """Set the clock back as far as you like: the next policy has a greater serial and no earlier time."""
    after = policy.changed(START + timedelta(days=days), revoked_keys=frozenset({"a" * 64}))
    assert after.serial == policy.serial + 1
    assert after.present(START) >= policy.present(START)


def test_too_many_revocations_trust_nobody() -> None:
    """Who sends revocations without end does not fill our memory."""
    many = TrustPolicy(tenant="acme", revoked_keys=frozenset(f"{number:064x}" for number in range(100_001)))
    with pytest.raises(SignatureError, match="100000"):
        newest(TrustPolicy(tenant="acme"), many)
