# SPDX-License-Identifier: Apache-2.0
"""Signing keys through both clients and on the command line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from furoshiki import AuthError, Client, InvalidRequest, NotFound, SignatureRefused, parse_policy, verify
from furoshiki.testing import FakeService

Either: TypeAlias = Callable[..., Any]  # the fixture: a call, run by one of the clients


@pytest.fixture(autouse=True)
def pushed(client: Client, model_file: Path) -> None:
    client.models.push("digits", model_file)


def test_rotation_and_what_follows(either: Either, client: Client, model_file: Path, tmp_path: Path) -> None:
    """A new key signs, the old one is still trusted; revoked, what it signed is refused and the rest is not."""
    old = client.versions.get("digits", 1).key_id
    keys = either(lambda client: client.signing.rotate(reason="yearly", overlap_days=30))
    new = client.models.push("digits", model_file).key_id
    assert [key.key_id for key in keys] == [new, old]
    assert [(key.signs, key.trusted) for key in keys] == [(True, True), (False, True)]
    revoked = either(lambda client: client.signing.revoke(key_id=old, reason="lost"))
    assert (revoked.kind, revoked.id) == ("key", old)
    assert [key.revoked for key in either(lambda client: client.signing.keys())] == [False, True]
    policy = client.trust()
    bundles = [client.versions.download("digits", number, tmp_path / str(number)) for number in (1, 2)]
    assert verify(bundles[1], policy).key_id == new
    with pytest.raises(SignatureRefused, match="SIGN_009"):
        verify(bundles[0], policy)


def test_a_version_is_revoked_by_name(either: Either, client: Client) -> None:
    """Its digest is in the policy, whose serial the answer names."""
    revoked = either(lambda client: client.signing.revoke(version=("digits", 1), reason="wrong labels"))
    policy = client.trust()
    assert policy.revoked_digests == {client.versions.get("digits", 1).digest} == {revoked.id}
    assert policy.serial == revoked.serial


def test_wrong_revocations(either: Either) -> None:
    """One thing at a time, and one that exists."""
    with pytest.raises(InvalidRequest, match="VALID_002"):
        either(lambda client: client.signing.revoke(reason="none"))
    with pytest.raises(NotFound, match="KEY_001"):
        either(lambda client: client.signing.revoke(key_id="0" * 64, reason="unknown"))


def test_co_signatures_are_refused_where_there_are_none(either: Either) -> None:
    """Without the feature neither key nor signature is to be had."""
    for call in (lambda client: client.signing.p256_key(), lambda client: client.signing.co_signature("digits", 1)):
        with pytest.raises(AuthError, match="AUTH_003"):
            either(call)


def test_a_clock_behind_the_policy_is_not_believed(client: Client, service: FakeService, tmp_path: Path) -> None:
    """A key that had expired when the policy was issued has expired, whatever the machine's clock says."""
    bundle, now = client.versions.download("digits", 1, tmp_path / "bundle"), service.clock.now()
    shown = client.trust().to_bytes().replace(b'"not_after":null', b'"not_after":"2030-01-01T00:00:00.000Z"')
    later = shown.replace(b'"issued_at":null', b'"issued_at":"2030-01-01T00:00:00.000Z"')
    assert verify(bundle, parse_policy(shown), now=now)
    with pytest.raises(SignatureRefused, match="SIGN_008"):
        verify(bundle, parse_policy(later), now=now - timedelta(hours=1))


def test_a_version_1_policy_has_no_serial() -> None:
    """What belongs to version 2 of the format is refused in version 1; version 1 is written as it was."""
    plain = b'{"keys":[],"revoked_digests":[],"revoked_keys":[],"schema_version":1,"tenant":"acme"}'
    assert parse_policy(plain).to_bytes() == plain
    with pytest.raises(SignatureRefused, match="SIGN_003"):
        parse_policy(plain.replace(b'"schema_version"', b'"serial":1,"schema_version"'))
