# SPDX-License-Identifier: Apache-2.0
"""``furo versions`` marks what is revoked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

Run: TypeAlias = Callable[..., Any]  # the fixture: runs furo


@pytest.fixture(autouse=True)
def pushed(run: Run, tmp_path: Path) -> None:
    """Two versions of different bytes."""
    for text in ("one", "two"):
        (tmp_path / "digits.onnx").write_text(text)
        assert run("push", str(tmp_path / "digits.onnx"), "--name", "digits").code == 0


def revoked(run: Run) -> list[bool]:
    return [version["revoked"] for version in run("versions", "digits", "-o", "json").json]


def test_a_revoked_version_is_marked(run: Run) -> None:
    """In the list, alone and as JSON; its neighbour is not."""
    assert revoked(run) == [False, False]
    assert run("signing", "revoke", "digits@1", "--reason", "wrong labels").code == 0
    assert revoked(run) == [False, True]
    newer, older = run("versions", "digits").out.splitlines()[1:]
    assert ("yes" in older.split(), "yes" in newer.split()) == (True, False)
    assert "Revoked" in run("versions", "digits@1").out
    assert "Revoked" not in run("versions", "digits@2").out
    assert run("versions", "digits@1", "-o", "json").json["revoked"] is True


def test_a_revoked_file_marks_its_version(run: Run) -> None:
    """Whoever revokes a file's digest revokes what holds it."""
    digest = run("versions", "digits@2", "-o", "json").json["files"][0]["digest"]
    assert run("signing", "revoke", digest, "--reason", "poisoned").code == 0
    assert revoked(run) == [True, False]


def test_a_revoked_key_marks_all_it_signed(run: Run) -> None:
    """After a rotation: what the old key signed, and nothing of the new one."""
    old = run("versions", "digits@1", "-o", "json").json["key_id"]
    assert run("signing", "rotate", "--reason", "yearly").code == 0
    assert run("signing", "revoke", old, "--reason", "lost").code == 0
    assert revoked(run) == [True, True]
