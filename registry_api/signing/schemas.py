# SPDX-License-Identifier: Apache-2.0
"""Signing keys and revocations as the API speaks of them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, Field

from registry_api.http.fields import Digest, Incoming, Line, Name, Outgoing, Timestamp, VersionNumber, whole
from registry_api.signing.values import Revocation, SigningKey, Target

KeyId: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the public key, in hex.")]
_Days: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=36500), BeforeValidator(whole)]


class RotateSigningIn(Incoming):
    """A rotation to be made."""

    reason: Line
    overlap_days: _Days | None = Field(
        default=None,
        description="What the old key signed counts for so long, then it has to be registered again. "
        "Null: until the old key is revoked.",
    )

    @property
    def overlap(self) -> timedelta | None:
        """As a duration."""
        return None if self.overlap_days is None else timedelta(days=self.overlap_days)


class VersionIn(Incoming):
    """A version of a model."""

    model: Name
    version: VersionNumber


class RevokeKeyIn(Incoming):
    """A signing key: nothing it signed counts any more."""

    reason: Line
    key_id: KeyId

    def value(self) -> Target:
        """The target as a value."""
        return Target(key_id=self.key_id)


class RevokeDigestIn(Incoming):
    """The digest of a manifest or of any file: nothing made of it counts any more."""

    reason: Line
    digest: Digest

    def value(self) -> Target:
        """The target as a value."""
        return Target(digest=self.digest)


class RevokeVersionIn(Incoming):
    """A version: its manifest's digest is revoked."""

    reason: Line
    version: VersionIn

    def value(self) -> Target:
        """The target as a value."""
        return Target(version=(self.version.model, self.version.version))


RevokeIn: TypeAlias = RevokeKeyIn | RevokeDigestIn | RevokeVersionIn


class SigningKeyOut(Outgoing):
    """The public half of a signing key."""

    key_id: str
    algorithm: str = Field(description="`ed25519` or `ecdsa-p256`.")
    public_key: str = Field(description="SubjectPublicKeyInfo in PEM.")
    signs: bool = Field(description="Whether new versions are signed with it.")
    trusted: bool = Field(description="Whether what it signed is loaded.")
    revoked: bool
    not_before: Timestamp | None
    not_after: Timestamp | None

    @classmethod
    def of(cls, key: SigningKey) -> SigningKeyOut:
        """Shows a key."""
        return cls(**asdict(key))


class SigningKeysOut(Outgoing):
    """A tenant's signing keys, newest first."""

    items: list[SigningKeyOut]

    @classmethod
    def of(cls, keys: list[SigningKey]) -> SigningKeysOut:
        """Shows keys."""
        return cls(items=[SigningKeyOut.of(key) for key in keys])


class RevocationOut(Outgoing):
    """Something that is revoked for ever."""

    kind: str = Field(description="`key` or `digest`.")
    id: str
    serial: int = Field(description="Of the trust policy that says so; inference services follow within seconds.")

    @classmethod
    def of(cls, revocation: Revocation) -> RevocationOut:
        """Shows a revocation."""
        return cls(**asdict(revocation))
