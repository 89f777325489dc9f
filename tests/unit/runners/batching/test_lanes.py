# SPDX-License-Identifier: Apache-2.0
"""Order inside a tenant: classes, age, turns of buckets; and that leaving is cheap and leaves nothing behind."""

from __future__ import annotations

import numpy as np
import pytest

from runners.batching.lanes import STEP_S, Lane, Tenant, rank_of
from runners.batching.work import BucketKey, Work
from runners.testing import request_of

KEY: BucketKey = ((2,),)


def work(arrived: float = 0.0) -> Work:
    request = request_of({"x": np.zeros((1, 2), dtype=np.float32)})
    return Work(request, KEY, 1, 8, 1, 0, arrived, lambda outcome: None, lambda work: None)


@pytest.mark.parametrize(("priority", "rank"), [(0, 2), (1, 0), (2, 1), (3, 2), (5, 4), (6, 4), (10**9, 4), (-1, 4)])
def test_five_classes(priority: int, rank: int) -> None:
    """1 is the highest, 0 is the middle, what is above 5 counts as 5."""
    assert rank_of(priority) == rank


def test_a_higher_class_goes_first_but_not_for_ever() -> None:
    """It overtakes what arrived up to a second earlier per class, and no more."""
    tenant = Tenant("acme")
    tenant.lane(2, KEY).push(work(arrived=10.0))
    tenant.lane(0, KEY).push(work(arrived=10.0 + 2 * STEP_S - 0.1))
    assert tenant.next().rank == 0
    tenant.lane(0, KEY).head().arrived += 0.2
    assert tenant.next().rank == 2


def test_buckets_take_turns() -> None:
    """Of one class, the bucket that was served goes behind the others."""
    tenant = Tenant("acme")
    other: BucketKey = ((3,),)
    tenant.lane(2, KEY).push(work())
    tenant.lane(2, other).push(work(arrived=1.0))
    first = tenant.next()
    assert first.key == KEY
    tenant.served(first)
    assert tenant.next().key == other


def test_order_survives_leaving() -> None:
    """Whoever leaves, the others stay in order of arrival."""
    lane = Lane(Tenant("acme"), 0, KEY)
    works = [work(float(n)) for n in range(9)]
    for one in works:
        lane.push(one)
    for one in (works[0], works[4], works[8]):
        lane.leave(one)
    assert (lane.head(), lane.live) == (works[1], 6)
    lane.leave_first(works[1:4])
    assert list(lane) == works[5:8]


def test_what_left_is_not_kept() -> None:
    """A hundred thousand requests that came and left behind one that stays do not add up."""
    lane = Lane(Tenant("acme"), 0, KEY)
    lane.push(work())
    for _ in range(100_000):
        one = work()
        lane.push(one)
        lane.leave(one)
    assert lane.live == 1
    assert len(lane._works) < 100
