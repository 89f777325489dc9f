# SPDX-License-Identifier: Apache-2.0
"""Deleting and restoring versions and models."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from furoshiki import Client, Conflict, NotFound
from furoshiki.testing import FakeService

Either: TypeAlias = Callable[..., Any]  # the fixture: a call, run by one of the clients


@pytest.fixture
def digits(client: Client, model_file: Path) -> None:
    for _ in range(2):
        client.models.push("digits", model_file)


@pytest.mark.usefixtures("digits")
def test_a_deleted_version_is_gone_until_it_is_restored(either: Either, client: Client) -> None:
    """It says who, why and until when; lists show it only to whoever asks for deleted ones."""
    before = client.versions.get("digits", 2)
    deleted = either(lambda one: one.versions.delete("digits", 2, reason="wrong data"))
    assert deleted.deletion is not None
    assert (deleted.deletion.reason, deleted.deletion.by) == ("wrong data", "test")
    assert deleted.deletion.purge_at - deleted.deletion.at == timedelta(days=30)
    assert "wrong data; can be restored until" in deleted.deletion.summary
    with pytest.raises(NotFound, match="MODEL_001"):
        client.versions.get("digits", 2)
    assert client.versions.resolve("digits").version == 1
    assert [version.version for version in client.versions.list("digits")] == [1]
    assert list(either(lambda one: one.versions.list("digits", deleted=True))) == [deleted]
    assert either(lambda one: one.versions.restore("digits", 2, reason="needed", etag=deleted.etag)) == before
    assert client.versions.get("digits", 2) == before


@pytest.mark.usefixtures("digits")
def test_a_deleted_model_is_gone_until_it_is_restored(either: Either, client: Client, model_file: Path) -> None:
    """Its name is taken meanwhile, which a push says at once."""
    before = client.models.get("digits")
    deleted = either(lambda one: one.models.delete("digits", reason="wrong data", etag=before.etag))
    assert list(client.models.list()) == []
    assert list(either(lambda one: one.models.list(deleted=True))) == [deleted]
    with pytest.raises(Conflict, match="MODEL_005"):
        client.models.push("digits", model_file)
    assert either(lambda one: one.models.restore("digits", reason="needed")) == before
    with pytest.raises(NotFound, match="MODEL_001"):
        client.models.restore("digits", reason="needed")


@pytest.mark.usefixtures("digits")
def test_what_is_used_or_was_changed_is_refused(client: Client) -> None:
    """STATE_004 while it is in production, STATE_003 for the ETag of another state."""
    etag = client.versions.get("digits", 1).etag
    for stage in ("STAGING", "PRODUCTION"):
        client.versions.stage("digits", 1, stage, reason="r")
    with pytest.raises(Conflict, match="STATE_004"):
        client.versions.delete("digits", 1, reason="r")
    client.versions.describe("digits", 2, description="changed")
    with pytest.raises(Conflict, match="STATE_003"):
        client.versions.delete("digits", 2, reason="r", etag=etag)


@pytest.mark.usefixtures("digits")
def test_a_lost_answer_is_asked_for_with_the_same_key(client: Client, service: FakeService) -> None:
    """A deletion whose answer was lost is sent again under its Idempotency-Key."""
    service.cut_next()
    assert client.versions.delete("digits", 2, reason="r").deletion is not None
    sent = [call for call in service.calls if call.method == "DELETE"]
    assert len(sent) == 2
    assert len({call.headers["idempotency-key"] for call in sent}) == 1
