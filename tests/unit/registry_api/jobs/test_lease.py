# SPDX-License-Identifier: Apache-2.0
"""How long leases last and when failed attempts are repeated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from core.errors import ErrorCode, InitError
from registry_api.jobs.lease import Backoff, LeasePolicy, new_token

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_lease_expires_its_life_after_the_last_heartbeat() -> None:
    """The expiry is now plus the lease's life."""
    assert LeasePolicy(seconds=30).expiry(NOW) == NOW + timedelta(seconds=30)


def test_a_lease_shorter_than_two_heartbeats_is_refused() -> None:
    """One lost heartbeat must not cost a lease."""
    with pytest.raises(InitError) as refused:
        LeasePolicy(seconds=1.9, heartbeat_seconds=1)
    assert refused.value.code is ErrorCode.SETTING_INVALID


@pytest.mark.parametrize(("attempt", "pause"), [(1, 2), (2, 4), (3, 8), (6, 60), (10_000, 60)])
def test_pauses_between_attempts_double_up_to_a_limit(attempt: int, pause: int) -> None:
    """Two seconds, four, eight, and never more than a minute."""
    assert LeasePolicy().retry_at(NOW, attempt=attempt) == NOW + timedelta(seconds=pause)


def test_tokens_do_not_repeat() -> None:
    """Each lease has its own token of 128 bits."""
    tokens = {new_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert {len(token) for token in tokens} == {32}


def test_looks_for_work_slow_down_while_there_is_none() -> None:
    """Pauses double up to the longest and start over once work was found."""
    backoff = Backoff(shortest=0.1, longest=0.5)
    assert [backoff.pause() for _ in range(4)] == [0.1, 0.2, 0.4, 0.5]
    backoff.found()
    assert backoff.pause() == 0.1
