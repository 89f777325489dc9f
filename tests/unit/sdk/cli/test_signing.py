# SPDX-License-Identifier: Apache-2.0
"""``furo signing``, and verifying with nothing but a public key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from furoshiki.testing import FakeService

Run: TypeAlias = Callable[..., Any]  # the fixture


@pytest.fixture(autouse=True)
def pushed(run: Run, model_file: Path) -> None:
    assert run("push", str(model_file), "--name", "digits").code == 0


def test_rotate_and_revoke(run: Run, service: FakeService) -> None:
    """Both print what became of it; a key, a digest and a version may be revoked."""
    old = service.registry.signer.key_id
    rotated = run("signing", "rotate", "--reason", "yearly", "--overlap-days", "30")
    assert (rotated.code, old in rotated.out) == (0, True)
    keys = run("signing", "keys", "--output", "json").json
    assert [key["signs"] for key in keys] == [True, False]
    version = run("versions", "digits", "--output", "json").json[0]
    for target, kind in ((old, "key"), ("digits@1", "digest"), (version["digest"], "digest")):
        revoked = run("signing", "revoke", target, "--reason", "lost", "--output", "json")
        assert (revoked.code, revoked.json["kind"]) == (0, kind)


def test_a_reason_is_needed(run: Run) -> None:
    """Nothing is rotated or revoked without saying why."""
    for command in (("rotate",), ("revoke", "digits@1")):
        ran = run("signing", *command)
        assert (ran.code, "--reason" in ran.err) == (2, True)


def test_verify_with_nothing_but_a_public_key(run: Run, service: FakeService, tmp_path: Path) -> None:
    """A policy made of a public key, without any network, verifies what that key signed and nothing of another tenant."""
    public, bundle = tmp_path / "key.pem", tmp_path / "bundle"
    public.write_text(service.registry.signer.keys[0]["public_key"])
    assert run("pull", "digits@1", str(bundle)).code == 0
    calls = len(service.calls)
    for tenant, code in (("acme", 0), ("globex", 7)):
        policy = run("signing", "policy", "--tenant", tenant, str(public))
        assert policy.code == 0
        assert run("verify", str(bundle), "--policy", "-", stdin=policy.out).code == code
    assert len(service.calls) == calls
    public.write_text("no key")
    assert run("signing", "policy", "--tenant", "acme", str(public)).code == 7


def test_pull_asks_for_a_co_signature(run: Run, tmp_path: Path) -> None:
    """Where the tenant has none, pulling with one fails with the feature's name and writes no file."""
    target = tmp_path / "p256.sig"
    ran = run("pull", "digits@1", str(tmp_path / "bundle"), "--co-signature", str(target))
    assert (ran.code != 0, "signing.p256" in ran.err, target.exists()) == (True, True, False)
