# SPDX-License-Identifier: Apache-2.0
"""A job's log never exceeds its limit and says when it was cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from registry_api.jobs.log import NOTICE, fit

LIMIT = len(NOTICE) + 40


@given(st.lists(st.text(max_size=30), max_size=12))
def test_a_log_is_the_beginning_of_what_was_said(pieces: list[str]) -> None:
    """size + len(fit(text)) <= limit, and once something was cut the log ends with the notice and stays as it is."""
    log = b""
    for piece in pieces:
        log += fit(piece, size=len(log), limit=LIMIT)
        assert len(log) <= LIMIT
    said = "".join(pieces).encode("utf-8", "replace")
    assert log.count(NOTICE) <= 1
    if log.endswith(NOTICE):
        assert said.startswith(log.removesuffix(NOTICE))
    else:
        assert log == said


def test_nothing_follows_the_notice() -> None:
    """A log that was cut is not continued, even by a line that would fit."""
    log = fit("é" * 100, size=0, limit=LIMIT)
    assert log == "é".encode() * 20 + NOTICE
    assert fit("x", size=len(log), limit=LIMIT) == b""
