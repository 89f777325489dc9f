# SPDX-License-Identifier: Apache-2.0
"""The locks name every file that may be installed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from tests.unit.deploy.manifests import ROOT

LOCKS: Final = sorted((ROOT / "deploy" / "locks").glob("*.txt"))
PIN: Final = re.compile(r"[a-z0-9._-]+(\[[a-z0-9,-]+\])?==[^ ]+( ; [^\\]+)?( --hash=sha256:[0-9a-f]{64})+")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_pin_has_hashes(lock: Path) -> None:
    """One version each, and the SHA-256 of its files; no option, address or folder."""
    lines = lock.read_text().replace(" \\\n   ", "").splitlines()
    assert len(lines) > 1
    assert [line for line in lines if not PIN.fullmatch(line)] == []


def test_each_is_made_of_a_list() -> None:
    """What `make lock` resolves is what there is."""
    lists = {path.stem for path in LOCKS[0].parent.glob("*.in")} - {"serving-base"}  # included by others
    assert {path.stem for path in LOCKS} == lists
