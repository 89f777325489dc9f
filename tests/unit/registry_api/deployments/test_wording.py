# SPDX-License-Identifier: Apache-2.0
"""Numbers in messages."""

from __future__ import annotations

from registry_api.deployments.wording import counted


def test_one_is_singular() -> None:
    """One thing is a thing, any other number of them are things."""
    assert [counted(number, "pod") for number in (0, 1, 2)] == ["0 pods", "1 pod", "2 pods"]
