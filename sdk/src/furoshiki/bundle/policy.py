# SPDX-License-Identifier: Apache-2.0
"""The trust policy of a tenant: which keys may sign, and what was revoked. ``furo trust`` prints it.

The algorithm belongs to the trusted key (Ed25519, or ECDSA on P-256 with SHA-256), never to the message that claims to be
signed. A policy with an unknown field, or with a key that does not have its id, trusts nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
import rfc8785
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from furoshiki.bundle.manifest import Digest, Moment, Name
from furoshiki.bundle.refusals import Reason, refuse


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKey:
    """One key that may sign for the tenant.

    Raises:
        SignatureRefused: ``SIGN_003`` if ``public_key`` is no key of a known algorithm, or not the one ``key_id`` names.
    """

    key_id: str  # SHA-256 of the key's SubjectPublicKeyInfo in DER, in hex
    public_key: str  # SubjectPublicKeyInfo, PEM
    not_before: datetime | None = None  # None: valid from ever
    not_after: datetime | None = None  # None: valid for ever

    def __post_init__(self) -> None:
        if hashlib.sha256(self._encoded(Encoding.DER)).hexdigest() != self.key_id:
            raise _untrusted(f"Key {self.key_id[:64]!r} of the trust policy does not have that id")

    @property
    def hint(self) -> str:
        """The key's name in a Sigstore bundle, as model-signing writes it: SHA-256 of its PEM, in hex."""
        return hashlib.sha256(self._encoded(Encoding.PEM)).hexdigest()

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether this key's private half signed exactly ``message``."""
        key = self._key()
        try:
            if isinstance(key, Ed25519PublicKey):
                key.verify(signature, message)
            else:
                key.verify(signature, message, ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True

    def _encoded(self, encoding: Encoding) -> bytes:
        return self._key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)

    def _key(self) -> Ed25519PublicKey | EllipticCurvePublicKey:
        try:
            key = load_pem_public_key(self.public_key.encode())
        except (ValueError, UnsupportedAlgorithm):
            raise _untrusted(f"Key {self.key_id[:64]!r} of the trust policy is no PEM public key") from None
        if isinstance(key, Ed25519PublicKey):
            return key
        if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
            return key
        raise _untrusted(f"Key {self.key_id[:64]!r} of the trust policy is neither Ed25519 nor ECDSA P-256")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustPolicy:
    """What one tenant trusts. Revocation wins over trust."""

    tenant: str
    keys: tuple[TrustedKey, ...] = ()
    revoked_keys: frozenset[str] = frozenset()
    revoked_digests: frozenset[str] = frozenset()  # of manifests, of their parents or of single files
    serial: int = 0  # of the changes made to it; 0: nobody counts them
    issued_at: datetime | None = None  # when the last one was made; None: nobody wrote it down

    def present(self, now: datetime) -> datetime:
        """The time to judge validity at: a clock that is behind the policy's own time is not believed."""
        return now if self.issued_at is None else max(now, self.issued_at)

    def revokes(self, key_id: str, digests: Iterable[str]) -> bool:
        """Whether what that key signed, and what has those digests, is revoked."""
        return key_id in self.revoked_keys or not self.revoked_digests.isdisjoint(digests)

    def to_bytes(self) -> bytes:
        """The policy as the canonical JSON that :func:`parse_policy` reads."""
        keys = [
            {
                "key_id": key.key_id,
                "public_key": key.public_key,
                "not_before": _time(key.not_before),
                "not_after": _time(key.not_after),
            }
            for key in self.keys
        ]
        versioned = self.serial > 0 or self.issued_at is not None
        counted = {"serial": self.serial, "issued_at": _time(self.issued_at)}
        return rfc8785.dumps(
            {
                "schema_version": 2 if versioned else 1,
                **(counted if versioned else {}),
                "tenant": self.tenant,
                "keys": keys,
                "revoked_keys": sorted(self.revoked_keys),
                "revoked_digests": sorted(self.revoked_digests),
            }
        )

    def signer(self, key_id: str, now: datetime) -> TrustedKey:
        """The trusted key of that id.

        Raises:
            SignatureRefused: ``SIGN_009`` if it is revoked, ``SIGN_003`` if it is not trusted, ``SIGN_008`` if it is
                outside its validity at ``now``.
        """
        if key_id in self.revoked_keys:
            raise refuse(Reason.REVOKED, f"Key {key_id[:64]!r} is revoked for tenant {self.tenant!r}.")
        key = next((key for key in self.keys if key.key_id == key_id), None)
        if key is None:
            raise _untrusted(f"Key {key_id[:64]!r} is not trusted for tenant {self.tenant!r}")
        if key.not_before is not None and now < key.not_before:
            raise refuse(Reason.EXPIRED, f"Key {key_id} is not valid before {key.not_before.isoformat()}.")
        if key.not_after is not None and now >= key.not_after:
            raise refuse(Reason.EXPIRED, f"Key {key_id} expired at {key.not_after.isoformat()}.")
        return key


class _KeyJson(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    key_id: str
    public_key: str
    not_before: Moment | None = None
    not_after: Moment | None = None


class _PolicyJson(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    schema_version: Literal[1, 2]
    serial: Annotated[int, msgspec.Meta(ge=0, lt=2**53)] = 0
    issued_at: Moment | None = None
    tenant: Name
    keys: tuple[_KeyJson, ...]
    revoked_keys: frozenset[Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]]
    revoked_digests: frozenset[Digest]


def parse_policy(data: bytes) -> TrustPolicy:
    """Reads a policy as the registry serves it.

    Raises:
        SignatureRefused: ``SIGN_003`` if it cannot be read: nothing is trusted then.
    """
    try:
        document = msgspec.json.decode(data, type=_PolicyJson)
    except (ValueError, RecursionError) as error:
        raise _untrusted(f"The trust policy cannot be read ({error})") from None
    if document.schema_version == 1 and (document.serial or document.issued_at is not None):
        raise _untrusted("The trust policy cannot be read ('serial' and 'issued_at' belong to version 2 of the format)")
    return TrustPolicy(
        tenant=document.tenant,
        keys=tuple(TrustedKey(**msgspec.structs.asdict(key)) for key in document.keys),
        revoked_keys=document.revoked_keys,
        revoked_digests=document.revoked_digests,
        serial=document.serial,
        issued_at=document.issued_at,
    )


def key_id_of(public_key: str) -> str:
    """The id of a public key in PEM.

    Raises:
        SignatureRefused: ``SIGN_003`` if it is no key of a known algorithm.
    """
    try:
        key = load_pem_public_key(public_key.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise _untrusted("A file holds no public key in PEM") from None
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _untrusted(sentence: str) -> Exception:
    return refuse(Reason.SIGNER_UNTRUSTED, f"{sentence}.")
