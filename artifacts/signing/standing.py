# SPDX-License-Identifier: Apache-2.0
"""How trust in a tenant's signatures changes over time: forwards only.

Laws. :func:`newest` never goes back to a policy with a smaller serial, and what was revoked stays revoked. :func:`tightened`
only takes away: whatever its second argument says, nobody is trusted under the result who is not under the first.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from artifacts.digest import Digest
from artifacts.signing.policy import TrustedKey, TrustPolicy, malformed_policy
from artifacts.signing.verifier import revoked_error, validity_error
from core.errors import ErrorCode, SignatureError

MOST_REVOKED: Final = 100_000  # keys and digests that one tenant's policies may have revoked in all


def newest(seen: TrustPolicy, offered: TrustPolicy) -> TrustPolicy:
    """The policy to go on with after ``seen``: ``offered``, unless it is older; with all revocations of both.

    Raises:
        SignatureError: ``SIGN_003`` if there are more revocations than anybody can mean.
    """
    keys = offered.revoked_keys | seen.revoked_keys
    digests = offered.revoked_digests | seen.revoked_digests
    if len(keys) + len(digests) > MOST_REVOKED:
        raise malformed_policy(f"it has revoked more than {MOST_REVOKED} keys and digests")
    later = seen if offered.serial < seen.serial else offered
    moments = [moment for moment in (seen.issued_at, offered.issued_at) if moment is not None]
    return replace(later, revoked_keys=keys, revoked_digests=digests, issued_at=max(moments, default=None))


def tightened(policy: TrustPolicy, by: TrustPolicy) -> TrustPolicy:
    """``policy`` without what ``by`` has revoked, and with its keys no longer valid than they are there."""
    theirs = {key.key_id: key for key in by.keys}
    return replace(
        policy,
        keys=tuple(_shortened(key, theirs.get(key.key_id)) for key in policy.keys),
        revoked_keys=policy.revoked_keys | by.revoked_keys,
        revoked_digests=policy.revoked_digests | by.revoked_digests,
    )


def check_standing(policy: TrustPolicy, *, key_id: str, covered: frozenset[Digest], now: datetime) -> None:
    """Checks that something which was verified before may still be used.

    Args:
        policy: The tenant's policy as it is now.
        key_id: Of the key whose signature was verified.
        covered: Digests whose revocation ends it.
        now: The verifier's time.

    Raises:
        SignatureError: ``SIGN_009`` if the key or a digest was revoked, ``SIGN_003`` if the key is not trusted any more,
            ``SIGN_008`` if its validity is over.
    """
    revoked = covered & policy.revoked_digests
    if key_id in policy.revoked_keys:
        raise revoked_error("key", key_id)
    if revoked:
        raise revoked_error("digest", min(revoked))
    key = next((key for key in policy.keys if key.key_id == key_id), None)
    if key is None:
        raise SignatureError(
            ErrorCode.SIGNER_UNTRUSTED,
            f"Signed by key {key_id}, which tenant {policy.tenant!r} does not trust any more.",
            details={"key_id": key_id},
        )
    error = validity_error(key, policy.present(now))
    if error is not None:
        raise error


def _shortened(key: TrustedKey, theirs: TrustedKey | None) -> TrustedKey:
    if theirs is None:
        return key
    ends = [moment for moment in (key.not_after, theirs.not_after) if moment is not None]
    starts = [moment for moment in (key.not_before, theirs.not_before) if moment is not None]
    return replace(key, not_before=max(starts, default=None), not_after=min(ends, default=None))
