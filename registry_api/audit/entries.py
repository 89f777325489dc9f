# SPDX-License-Identifier: Apache-2.0
"""One entry of a tenant's history, and the bytes that its hash covers. Pure.

    document = RFC 8785 canonical JSON of every field, ``previous`` included
    hash     = "sha256:" + hex(SHA-256(document))
    previous = hash of the tenant's entry before it, :data:`GENESIS` for the first

So no entry can be changed, removed, inserted or moved without its hash, or that of a later entry, ceasing to fit. Times are
RFC 3339 in UTC with milliseconds and never go back inside a chain.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
import rfc8785

from artifacts.digest import DIGEST_PATTERN, Digest, digest_bytes
from core.clock import rfc3339
from core.errors import ErrorCode, InvalidRequest

GENESIS: Final[Digest] = "sha256:" + "0" * 64
SCHEMA_VERSION: Final = 1
AT_PATTERN: Final = r"\A\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z\Z"

Facts: TypeAlias = Mapping[str, Any]  # of a JSON object


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happened, before it has a place in a chain."""

    tenant: str
    actor: str  # name of the API key, or of the part of the platform
    actor_key: str  # id of the API key; empty: the platform itself
    action: str  # "version.stage_changed"
    subject: str  # "digits@3", "digits@champion", "digits": what stands before the @ is the resource
    before: Facts | None  # None: there was nothing
    after: Facts | None  # None: there is nothing any more
    reason: str
    evidence: Facts | None  # what the action was decided on: digests, approvals, overridden gates


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An event in its place."""

    seq: int  # 1, 2, 3 ... without a gap
    at: datetime
    event: Event
    previous: Digest

    @property
    def document(self) -> bytes:
        """The bytes that the hash covers.

        Raises:
            InvalidRequest: ``VALID_002`` if a fact has no canonical form, such as a number no double can hold.
        """
        event = self.event
        try:
            return rfc8785.dumps(
                {
                    "schema_version": SCHEMA_VERSION,
                    "tenant": event.tenant,
                    "seq": self.seq,
                    "at": rfc3339(self.at),
                    "actor": event.actor,
                    "actor_key": event.actor_key,
                    "action": event.action,
                    "subject": event.subject,
                    "before": _plain(event.before),
                    "after": _plain(event.after),
                    "reason": event.reason,
                    "evidence": _plain(event.evidence),
                    "previous": self.previous,
                }
            )
        except rfc8785.CanonicalizationError as error:
            raise InvalidRequest(
                ErrorCode.INVALID_FIELD, f"{event.action} of {event.subject[:200]!r} cannot be recorded: {error}."
            ) from None

    @property
    def hash(self) -> Digest:
        """The digest of the document."""
        return digest_bytes(self.document)


class _Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema_version: Literal[1]
    tenant: str
    seq: Annotated[int, msgspec.Meta(ge=1)]
    at: Annotated[str, msgspec.Meta(pattern=AT_PATTERN)]
    actor: str
    actor_key: str
    action: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str
    evidence: dict[str, Any] | None
    previous: Annotated[str, msgspec.Meta(pattern=rf"\A{DIGEST_PATTERN}\Z")]


_DECODER: Final = msgspec.json.Decoder(_Document)


def read_entry(document: bytes) -> Entry:
    """Reads a document.

    Raises:
        ValueError: If it is not the one encoding of an entry.
    """
    try:
        found = _DECODER.decode(document)
        event = Event(**{name: getattr(found, name) for name in Event.__dataclass_fields__})
        entry = Entry(seq=found.seq, at=datetime.fromisoformat(found.at), event=event, previous=found.previous)
        canonical = entry.document
    except (ValueError, RecursionError, InvalidRequest) as error:
        raise ValueError(f"is malformed ({error})") from None
    if canonical != document:
        raise ValueError("is not canonical JSON (RFC 8785)")
    return entry


def resource_of(subject: str) -> str:
    """The resource that an entry's subject belongs to: ``digits`` of ``digits@3``."""
    return subject.partition("@")[0]


def _plain(facts: Facts | None) -> Any:
    return None if facts is None else json.loads(json.dumps(dict(facts)))  # enums become their text, tuples lists
