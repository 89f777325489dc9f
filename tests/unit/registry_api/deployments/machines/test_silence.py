# SPDX-License-Identifier: Apache-2.0
"""When a machine counts as silent."""

from __future__ import annotations

from registry_api.deployments.machines.silence import Silence


def test_a_machine_is_silent_after_its_time_and_heard_at_once() -> None:
    """60 s without a change; the next change is enough."""
    silence = Silence(60.0)
    assert [silence.look({"a": "1"}, at=at) for at in (0.0, 30.0, 59.9)] == [frozenset()] * 3
    assert silence.look({"a": "1"}, at=60.0) == {"a"}
    assert silence.look({"a": "2"}, at=61.0) == frozenset()


def test_who_did_not_listen_knows_nothing() -> None:
    """After a pause of its own (a suspended worker, a database that was away) silence counts anew."""
    silence = Silence(60.0)
    silence.look({"a": "1"}, at=0.0)
    assert silence.look({"a": "1"}, at=500.0) == frozenset()
    assert silence.look({"a": "1"}, at=530.0) == frozenset()
    assert silence.look({"a": "1"}, at=560.0) == {"a"}
    assert silence.look({"a": "1"}, at=700.0) == frozenset()


def test_a_machine_that_is_not_there_any_more_is_forgotten() -> None:
    """It comes back as one nobody has heard of."""
    silence = Silence(60.0)
    silence.look({"a": "1"}, at=0.0)
    silence.look({}, at=30.0)
    assert silence.look({"a": "1"}, at=60.0) == frozenset()
