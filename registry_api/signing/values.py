# SPDX-License-Identifier: Apache-2.0
"""Signing keys and revocations as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from artifacts.digest import Digest
from artifacts.signing.interface import Algorithm


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """The public half of a key, and what it is good for now."""

    key_id: str
    algorithm: Algorithm
    public_key: str  # SubjectPublicKeyInfo in PEM
    signs: bool  # whether new versions are signed with it
    trusted: bool  # whether anything is loaded because it signed
    revoked: bool
    not_before: datetime | None  # None: since ever
    not_after: datetime | None  # None: until it is revoked


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is to be revoked: a key, a digest, or a version, whose digest it is."""

    key_id: str | None = None
    digest: Digest | None = None
    version: tuple[str, int] | None = None  # model and number


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """Something that was revoked."""

    kind: str  # "key" or "digest"
    id: str
    serial: int  # of the policy that says so
