# SPDX-License-Identifier: Apache-2.0
"""What key custody does to a trust policy, as pure functions. A change that changes nothing gives the same policy."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from artifacts.digest import PREFIX, Digest, parse_digest
from artifacts.signing.interface import Signer
from artifacts.signing.policy import TrustedKey, TrustPolicy
from core.errors import Conflict, ErrorCode


def with_key(policy: TrustPolicy, signer: Signer, now: datetime) -> TrustPolicy:
    """Trusts the signer's key as well; it becomes the last of the policy's keys."""
    if any(key.key_id == signer.key_id for key in policy.keys):
        return policy
    own = TrustedKey(key_id=signer.key_id, public_key=signer.public_key.decode())
    return policy.changed(now, keys=(*policy.keys, own))


def rotated(policy: TrustPolicy, *, old: str, new: Signer, not_after: datetime | None, now: datetime) -> TrustPolicy:
    """Trusts the new signer's key, and the old key until ``not_after``. A validity that ends earlier is not lengthened."""
    kept = tuple(_ending(key, not_after) if key.key_id == old else key for key in policy.keys)
    added = with_key(policy, new, now).keys[len(policy.keys) :]
    return policy.changed(now, keys=(*kept, *added))


def revoked(policy: TrustPolicy, *, keys: frozenset[str], digests: frozenset[Digest], now: datetime) -> TrustPolicy:
    """Revokes key ids and digests.

    Raises:
        InvalidRequest: ``VALID_002`` if one is malformed.
    """
    for name in (*digests, *(PREFIX + key for key in keys)):
        parse_digest(name)
    if keys <= policy.revoked_keys and digests <= policy.revoked_digests:
        return policy
    return policy.changed(
        now, revoked_keys=policy.revoked_keys | keys, revoked_digests=policy.revoked_digests | digests
    )


def check_may_sign(policy: TrustPolicy, signer: Signer) -> None:
    """Checks that a tenant's own key is not revoked.

    Raises:
        Conflict: ``STATE_001`` if it is.
    """
    if signer.key_id in policy.revoked_keys:
        raise Conflict(
            ErrorCode.STATE_CONFLICT,
            f"The signing key {signer.key_id} of tenant {policy.tenant!r} is revoked. Rotate it: a new key is then made.",
            details={"key_id": signer.key_id},
        )


def _ending(key: TrustedKey, moment: datetime | None) -> TrustedKey:
    ends = [end for end in (key.not_after, moment) if end is not None]
    return replace(key, not_after=min(ends, default=None))
