# SPDX-License-Identifier: Apache-2.0
"""Entries of the history and their bytes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from core.errors import ErrorCode, InvalidRequest
from registry_api.audit.entries import GENESIS, Entry, Event, read_entry, resource_of
from registry_api.models.values import Stage

EVENT = Event(
    tenant="acme",
    actor="ann",
    actor_key="k1",
    action="version.stage_changed",
    subject="digits@3",
    before={"stage": Stage.STAGING},
    after={"stage": Stage.PRODUCTION},
    reason="größer",
    evidence={"approvals": ({"by": "bob"},)},
)
ENTRY = Entry(seq=1, at=datetime(2026, 1, 31, 9, 30, 0, 120000, tzinfo=UTC), event=EVENT, previous=GENESIS)


def test_the_document_is_what_the_format_says() -> None:
    """A test vector: canonical JSON in UTF-8, and its SHA-256."""
    assert ENTRY.document.decode() == (
        '{"action":"version.stage_changed","actor":"ann","actor_key":"k1","after":{"stage":"PRODUCTION"},'
        '"at":"2026-01-31T09:30:00.120Z","before":{"stage":"STAGING"},"evidence":{"approvals":[{"by":"bob"}]},'
        f'"previous":"{GENESIS}","reason":"größer","schema_version":1,"seq":1,"subject":"digits@3","tenant":"acme"}}'
    )
    assert ENTRY.hash == "sha256:7e3a98c08eb6b70eeb8ec38e28a7cff2fa122c5b0e46fa9799eb8cdd2e75c230"


def test_a_document_is_read_back() -> None:
    """As what was written, to the byte."""
    again = read_entry(ENTRY.document)
    assert (again.document, again.event.subject, again.at) == (ENTRY.document, "digits@3", ENTRY.at)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b'"seq":1', b'"seq": 1'),
        lambda data: data.replace(b'"seq":1', b'"seq":0'),
        lambda data: data.replace(b'"seq":1', b'"more":2,"seq":1'),
        lambda data: data.replace(b"09:30", b"9:30"),
        lambda data: data[:-1],
        lambda data: data + b" ",
        lambda _: b"\xff",
    ],
)
def test_another_encoding_of_an_entry_is_none(change: Any) -> None:
    """One entry has one document."""
    with pytest.raises(ValueError, match="is malformed|is not canonical"):
        read_entry(change(ENTRY.document))


def test_a_fact_without_canonical_form_is_refused() -> None:
    """Before anything is written."""
    with pytest.raises(InvalidRequest) as caught:
        _ = replace(ENTRY, event=replace(EVENT, after={"count": 2**60})).document
    assert caught.value.code is ErrorCode.INVALID_FIELD


@pytest.mark.parametrize(("subject", "resource"), [("digits@3", "digits"), ("digits", "digits"), ("gates@@a", "gates")])
def test_the_resource_of_a_subject(subject: str, resource: str) -> None:
    """What stands before the first @."""
    assert resource_of(subject) == resource
