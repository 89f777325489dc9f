# SPDX-License-Identifier: Apache-2.0
"""Whatever the looks at a pod's log are cut to, each line is read once and in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from registry_api.deployments.clusters.lines import BEGINNING, unread

TEXTS = st.text("ab :.Z0", max_size=6)
STEPS = st.sampled_from([0, 0, 1, 250_000_000, 1_000_000_000])  # nanoseconds since the line before
LINES = st.lists(st.tuples(STEPS, TEXTS), max_size=12)


def stamped(lines: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Lines with their moments: nanoseconds since the beginning."""
    found, now = [], 999_999_999
    for step, text in lines:
        now += step
        found.append((now, text))
    return found


def shown(moment: int, text: str) -> str:
    second, rest = divmod(moment, 1_000_000_000)
    return f"2026-01-01T00:00:{second:02d}.{rest:09d}Z {text}\n"


@given(LINES, st.lists(st.integers(0, 12), max_size=8), st.integers(40, 900))
def test_each_line_is_read_once(lines: list[tuple[int, str]], sizes: list[int], limit: int) -> None:
    """Looks see more and more of the log, from a whole second on, each cut after ``limit`` bytes; a stuck one sees all."""
    printed, place, read = stamped(lines), BEGINNING, b""
    for size in [*sorted(sizes), *[len(printed)] * (len(printed) + 1)]:
        begun = 0 if place.since is None else int(place.since[17:19])
        data = "".join(shown(at, text) for at, text in printed[:size] if at >= begun * 1_000_000_000).encode()
        found, at = unread(data[:limit], place, ended=False)
        if not found:
            found, at = unread(data, place, ended=False)
        place, read = at, read + found

    assert read.decode() == "".join(f"{text}\n" for _, text in printed)


@given(st.binary(max_size=80), st.booleans())
def test_whatever_is_printed_can_be_read(data: bytes, ended: bool) -> None:
    """Bytes that are no text, and lines without a timestamp, are lines; read again, nothing of them is new."""
    found, place = unread(data, BEGINNING, ended=ended)

    assert found.count(b"\n") == data.count(b"\n") + (ended and not data.endswith(b"\n") and data != b"")
    assert unread(data, place, ended=ended)[0] == b"" or place.moment == 0
