# SPDX-License-Identifier: Apache-2.0
"""The ports of key custody: one side signs, rotates and revokes, the other only needs to know whom to trust."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from artifacts.signing.interface import Signer
from artifacts.signing.policy import TrustPolicy


class TrustProvider(Protocol):
    """Knows whom each tenant trusts."""

    def policy(self, tenant: str) -> TrustPolicy:
        """The tenant's trust policy as it is now.

        Raises:
            SignatureError: ``SIGN_003`` if there is none or it cannot be read.
        """
        ...


class KeyProvider(TrustProvider, Protocol):
    """Holds one signing key per tenant. Law: ``signer(t).key_id`` is a trusted key of ``policy(t)``.

    Implementations may be called from several threads and processes at once; all of them get the same key. Every change
    makes the policy's serial grow. All methods raise ``Unavailable`` (``STORE_001``) if the keys are kept elsewhere and
    cannot be reached; a policy that was read before is served then all the same.
    """

    def signer(self, tenant: str) -> Signer:
        """The tenant's signer; its key is made at the first call.

        Raises:
            InitError: ``INIT_001`` if the key cannot be used: damaged or readable by others.
            Conflict: ``STATE_001`` if it is revoked: rotate first.
        """
        ...

    def co_signer(self, tenant: str) -> Signer:
        """The tenant's P-256 signer for tools that do not know Ed25519; its key is made at the first call.

        It is in no policy: nothing is ever loaded because this key signed it.
        """
        ...

    def policy(self, tenant: str) -> TrustPolicy:
        """The tenant's trust policy as it is now; it always lists the tenant's own key, revoked or not."""
        ...

    def rotate(self, tenant: str, *, not_after: datetime | None) -> Signer:
        """Makes a new signing key. The one before stays trusted for what it has signed.

        Killed in between, the old key goes on signing.

        Args:
            tenant: Whose.
            not_after: When the one before stops being trusted; None: when it is revoked.
        """
        ...

    def revoke(self, tenant: str, *, keys: frozenset[str] = frozenset(), digests: frozenset[str] = frozenset()) -> None:
        """Adds key ids and digests to the tenant's revocation lists; nothing is ever taken off them here.

        Raises:
            InvalidRequest: ``VALID_002`` if an id or digest is malformed.
        """
        ...
