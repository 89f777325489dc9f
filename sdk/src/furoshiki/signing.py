# SPDX-License-Identifier: Apache-2.0
"""Signing keys of a tenant: who signs, rotation, revocation, and co-signatures for tools that do not know Ed25519."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from furoshiki.api import API, get_request, json_request
from furoshiki.resource import D, Resource, operation
from furoshiki.steps import Request, Steps, path


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """The public half of a key, and what it is good for now."""

    key_id: str  # SHA-256 of the public key, in hex
    algorithm: str  # "ed25519" or "ecdsa-p256"
    public_key: str  # SubjectPublicKeyInfo, PEM
    signs: bool  # whether new versions are signed with it
    trusted: bool  # whether what it signed is loaded
    revoked: bool
    not_before: datetime | None = None  # None: valid from ever
    not_after: datetime | None = None  # None: valid until it is revoked


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """Something that is revoked for ever."""

    kind: str  # "key" or "digest"
    id: str
    serial: int  # of the trust policy that says so


@dataclass(frozen=True, slots=True, kw_only=True)
class _Keys:
    items: tuple[SigningKey, ...]


class Signing(Resource[D]):
    """``client.signing``; rotating and revoking needs the role ``model-admin``."""

    @operation
    def keys(self) -> Steps[tuple[SigningKey, ...]]:
        """The tenant's signing keys, newest first."""
        return (yield from self._api.fetch(get_request("/signing/keys"), _Keys)).items

    @operation
    def rotate(self, *, reason: str, overlap_days: int | None = None) -> Steps[tuple[SigningKey, ...]]:
        """Makes a new signing key, which signs from now on.

        Args:
            reason: Why, for the history.
            overlap_days: How long what the old key signed still counts; None: until the old key is revoked.

        Returns:
            All keys, newest first.
        """
        fields = {"reason": reason, "overlap_days": overlap_days}
        return (yield from self._api.fetch(json_request("POST", "/signing/rotate", fields), _Keys)).items

    @operation
    def revoke(
        self,
        *,
        reason: str,
        key_id: str | None = None,
        digest: str | None = None,
        version: tuple[str, int] | None = None,
    ) -> Steps[Revocation]:
        """Revokes one thing for ever; inference services stop answering with it within five seconds.

        Args:
            reason: Why, for the history.
            key_id: A signing key: nothing it signed counts any more.
            digest: Of a manifest or of any file: nothing made of it counts.
            version: A model and the number of its version.

        Raises:
            NotFound: ``KEY_001`` or ``MODEL_001`` if there is no such key or version.
            InvalidRequest: ``VALID_002`` unless exactly one of the three is given.
        """
        named = None if version is None else {"model": version[0], "version": version[1]}
        fields = {"reason": reason, "key_id": key_id, "digest": digest, "version": named}
        return (
            yield from self._api.fetch(json_request("POST", "/signing/revoke", fields, repeatable=True), Revocation)
        )

    @operation
    def p256_key(self) -> Steps[bytes]:
        """The public key of co-signatures, PEM: for ``model_signing verify key --public_key``.

        Raises:
            AuthError: ``AUTH_003`` if the tenant has no co-signatures.
        """
        return (yield from self._api.send(get_request("/signing/p256"))).body

    @operation
    def co_signature(self, model: str, version: int) -> Steps[bytes]:
        """A P-256 signature of a version, made now: for ``model_signing verify key --signature``.

        Raises:
            AuthError: ``AUTH_003`` if the tenant has no co-signatures.
            SignatureRefused: ``SIGN_009`` if the version is revoked.
        """
        where = API + path("models", model, "versions", version, "co-signature")
        return (yield from self._api.send(Request(method="GET", path=where))).body
