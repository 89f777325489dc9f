# SPDX-License-Identifier: Apache-2.0
"""The ports of key custody: one side signs and revokes, the other only needs to know whom to trust."""

from __future__ import annotations

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

    Implementations may be called from several threads and processes at once; all of them get the same key.
    """

    def signer(self, tenant: str) -> Signer:
        """The tenant's signer; its key is made at the first call.

        Raises:
            InitError: ``INIT_001`` if the key cannot be used: damaged, readable by others or revoked.
        """
        ...

    def policy(self, tenant: str) -> TrustPolicy:
        """The tenant's trust policy as it is now; it always lists the tenant's own key, revoked or not."""
        ...

    def revoke(self, tenant: str, *, keys: frozenset[str] = frozenset(), digests: frozenset[str] = frozenset()) -> None:
        """Adds key ids and digests to the tenant's revocation lists; nothing is ever taken off them here."""
        ...
