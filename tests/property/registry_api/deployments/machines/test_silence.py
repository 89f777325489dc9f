# SPDX-License-Identifier: Apache-2.0
"""The laws of :mod:`registry_api.deployments.machines.silence`, for any times of looks and beats."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from registry_api.deployments.machines.silence import Silence

SECONDS = 60.0
GAPS = st.lists(st.floats(0.1, 200.0), min_size=1, max_size=60)


@given(GAPS, st.data())
def test_silent_means_unchanged_for_long_while_somebody_listened(gaps: list[float], data: st.DataObject) -> None:
    """Whatever the gaps: silent exactly if its beat stayed the same in looks that follow each other closely for 60 s."""
    silence, at = Silence(SECONDS), 0.0
    beat, since = 0, 0.0
    silence.look({"a": "0"}, at=at)
    for gap in gaps:
        at += gap
        changed = data.draw(st.booleans())
        beat += changed
        if changed or gap > SECONDS / 2:
            since = at
        assert silence.look({"a": str(beat)}, at=at) == ({"a"} if at - since >= SECONDS else frozenset())


@given(st.lists(st.floats(0.1, SECONDS / 2), min_size=1, max_size=60))
def test_machines_are_told_apart(gaps: list[float]) -> None:
    """One that beats at every look is never silent, whatever another does not."""
    silence, at = Silence(SECONDS), 0.0
    for number, gap in enumerate(gaps):
        at += gap
        assert silence.look({"dead": "", "alive": str(number)}, at=at) <= {"dead"}
