# SPDX-License-Identifier: Apache-2.0
"""Whom a tenant trusts, what it has revoked, and what a caller asked for. Public values: no secret is in them.

A policy is JSON a person may edit: unknown fields are refused, key ids must be those of their keys, layout is free.

Version 2 of the format adds ``serial``, which grows with every change, and ``issued_at``. Who has seen a policy of a tenant
goes back to none with a smaller serial (:mod:`artifacts.signing.standing`), and takes no time before ``issued_at`` for the
present. A policy without a serial is written in version 1, which every reader knows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
import rfc8785

from artifacts.digest import DIGEST_PATTERN, Digest
from artifacts.manifest import Kind
from artifacts.signing.public_key import PublicKey
from core.clock import rfc3339
from core.errors import ErrorCode, FuroshikiError, InvalidRequest, SignatureError
from core.refs import parse_name

MAX_POLICY_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKey:
    """A key whose signatures count from ``not_before`` (included) to ``not_after`` (excluded), by the verifier's clock.

    Raises:
        InvalidRequest: ``VALID_002`` if ``public_key`` is unusable, ``key_id`` is not its id or a time has no offset.
    """

    key_id: str
    public_key: str  # SubjectPublicKeyInfo in PEM
    not_before: datetime | None = None  # None: since ever
    not_after: datetime | None = None  # None: for ever

    def __post_init__(self) -> None:
        actual = PublicKey.from_pem(self.public_key).key_id
        if self.key_id != actual:
            raise InvalidRequest(
                ErrorCode.INVALID_FIELD,
                f"Key id {self.key_id[:80]!r} is not the id of its public key; expected {actual}.",
                details={"field": "key_id"},
            )
        if any(moment is not None and moment.tzinfo is None for moment in (self.not_before, self.not_after)):
            raise InvalidRequest(
                ErrorCode.INVALID_FIELD,
                f"The validity of key {self.key_id} has no offset from UTC; write it like 2026-01-31T09:30:00Z.",
                details={"field": "not_before"},
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustPolicy:
    """What counts as signed for one tenant. Revocation wins over trust."""

    tenant: str
    keys: tuple[TrustedKey, ...] = ()
    revoked_keys: frozenset[str] = frozenset()
    revoked_digests: frozenset[Digest] = frozenset()  # of manifests, of their parents or of single files
    serial: int = 0  # of the changes made to it; 0: nobody counts them
    issued_at: datetime | None = None  # when the last one was made; None: nobody wrote it down

    def changed(self, now: datetime, **changes: Any) -> TrustPolicy:
        """The next policy, with ``changes``; it is never issued before this one, whatever the clock says."""
        issued = now if self.issued_at is None else max(now, self.issued_at)
        return replace(self, serial=self.serial + 1, issued_at=issued, **changes)

    def present(self, now: datetime) -> datetime:
        """The time to judge validity at: a clock that was set back behind the policy's own time is not believed."""
        return now if self.issued_at is None else max(now, self.issued_at)

    def to_bytes(self) -> bytes:
        """The policy as canonical JSON."""
        counted = {"serial": self.serial, "issued_at": _time(self.issued_at)}
        versioned = self.serial > 0 or self.issued_at is not None
        return rfc8785.dumps(
            {
                "schema_version": 2 if versioned else 1,
                **(counted if versioned else {}),
                "tenant": self.tenant,
                "keys": [
                    {
                        "key_id": key.key_id,
                        "public_key": key.public_key,
                        "not_before": _time(key.not_before),
                        "not_after": _time(key.not_after),
                    }
                    for key in self.keys
                ],
                "revoked_keys": sorted(self.revoked_keys),
                "revoked_digests": sorted(self.revoked_digests),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> TrustPolicy:
        """Reads a policy.

        Raises:
            SignatureError: ``SIGN_003`` if it is malformed: a policy that cannot be read trusts nobody.
        """
        if len(data) > MAX_POLICY_BYTES:
            raise malformed_policy(f"it has {len(data)} bytes; the limit is {MAX_POLICY_BYTES}")
        try:
            document = _DECODER.decode(data)
            issued_at = document.issued_at
            if document.schema_version == 1 and (document.serial or issued_at is not None):
                raise malformed_policy("'serial' and 'issued_at' belong to version 2 of the format")
            keys = tuple(TrustedKey(**msgspec.structs.asdict(key)) for key in document.keys)
            tenant = parse_name(document.tenant, what="tenant")
        except (ValueError, RecursionError) as error:
            raise malformed_policy(str(error)) from None
        except FuroshikiError as error:
            raise malformed_policy(error.message) from None
        return cls(
            tenant=tenant,
            keys=keys,
            revoked_keys=frozenset(document.revoked_keys),
            revoked_digests=frozenset(document.revoked_digests),
            serial=document.serial,
            issued_at=issued_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What was asked for. A bundle that is validly signed but for something else is refused."""

    tenant: str
    model: str
    version: int | None = None  # None: any version
    variant: str | None = None  # None: any variant
    kind: Kind = "model"


def malformed_policy(reason: str) -> SignatureError:
    """The error for a policy nobody can be trusted under: ``SIGN_003``."""
    return SignatureError(
        ErrorCode.SIGNER_UNTRUSTED,
        f"The trust policy cannot be read: {reason}. Nothing is trusted until it is repaired.",
        details={"field": "policy"},
    )


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A misspelt ``not_after`` must not silently mean "for ever"."""


class _KeyJson(_Strict, frozen=True, kw_only=True):
    key_id: str
    public_key: str
    not_before: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    not_after: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class _PolicyJson(_Strict, frozen=True, kw_only=True):
    schema_version: Literal[1, 2]
    serial: Annotated[int, msgspec.Meta(ge=0, lt=2**53)] = 0
    issued_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    tenant: str
    keys: tuple[_KeyJson, ...]
    revoked_keys: tuple[Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")], ...]
    revoked_digests: tuple[Annotated[str, msgspec.Meta(pattern=rf"\A{DIGEST_PATTERN}\Z")], ...]


_DECODER: Final = msgspec.json.Decoder(_PolicyJson)
