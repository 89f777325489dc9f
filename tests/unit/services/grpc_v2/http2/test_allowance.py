# SPDX-License-Identifier: Apache-2.0
"""What a client may ask of a connection: answered calls and time refill it."""

from __future__ import annotations

import pytest

from services.grpc_v2.http2.allowance import Allowance
from services.grpc_v2.http2.frames import ConnectionFault


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def now(self) -> float:
        return self.seconds


def spent(allowance: Allowance) -> int:
    """How often something can be paid for."""
    count = 0
    try:
        while count < 10_000:
            allowance.spend()
            count += 1
    except ConnectionFault:
        return count
    raise AssertionError


def test_an_allowance() -> None:
    """It is as large as was said, and refilled by time and by answers, never beyond that."""
    clock = Hands()
    assert spent(Allowance(50, 10, clock.now)) == 50
    refilled = Allowance(50, 10, clock.now)
    refilled.answered = 7
    assert spent(refilled) == 57
    later = Allowance(50, 10, clock.now)
    for _ in range(50):
        later.spend()
    clock.seconds += 1000
    assert spent(later) == 51


def test_pings() -> None:
    """Pings with pauses are answered for ever, early ones twice in a row; an answer forgives what was."""
    clock = Hands()
    allowance = Allowance(50, 10, clock.now)
    for _ in range(100):
        allowance.ping()
        clock.seconds += 10
    allowance.ping()
    for _ in range(50):
        allowance.ping()
        allowance.wrote()
    allowance.ping()
    allowance.ping()
    allowance.ping()
    with pytest.raises(ConnectionFault, match="too_many_pings"):
        allowance.ping()
