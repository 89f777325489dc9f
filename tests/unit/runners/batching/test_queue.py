# SPDX-License-Identifier: Apache-2.0
"""The queue: bounds and shares, whose turn it is, what shares a batch, and that nothing grows beyond what waits."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from runners.batching.policy import BatchLimits
from runners.batching.queue import BatchQueue
from runners.batching.testing import teach
from runners.batching.work import BucketKey, Work
from runners.testing import request_of

SMALL: BucketKey = ((2,),)
ROW = request_of({"x": np.zeros((1, 2), dtype=np.float32)})


def work(
    tenant: str = "acme",
    *,
    rows: int = 1,
    key: BucketKey = SMALL,
    arrived: float = 0.0,
    priority: int = 0,
    deadline: float | None = None,
    length: int = 0,
) -> Work:
    request = request_of(ROW.inputs, tenant=tenant, priority=priority, deadline=deadline)
    units = rows * (length or 1)
    return Work(request, key, rows, 8 * rows, units, length, arrived, lambda outcome: None, lambda work: None)


def queue(*, most_rows: int = 8, **limits: float) -> BatchQueue:
    return BatchQueue(
        BatchLimits(**limits),  # type: ignore[arg-type]
        most_rows=most_rows,
        seconds=lambda units: 0.001 * units,
        label="acme/fake@1",
    )


def take(queue: BatchQueue, room: int = 8, now: float = 0.0) -> list[Work]:
    return list(queue.take(queue.turn(), room, now).work)


def tenants(works: list[Work]) -> dict[str, int]:
    return dict(Counter(work.request.tenant for work in works))


def fill(queue: BatchQueue, tenant: str, limit: int = 10**6) -> int:
    """Adds rows of a tenant until it is refused; how many."""
    for count in range(limit):
        if queue.refusal(tenant, 1, 8) is not None:
            return count
        queue.add(work(tenant))
    return limit


def test_one_tenant_cannot_fill_the_queue() -> None:
    """It may have its share of what the others leave free; the next one gets as much of the rest, and so on."""
    limited = queue(max_queue_rows=1000)
    assert [fill(limited, tenant) for tenant in ("a", "b", "c")] == [750, 188, 47]
    assert limited.refusal("d", 15, 8) is None
    assert "queue of acme/fake@1 is full (985 rows wait)" in (limited.refusal("d", 16, 8) or "")
    assert "750 rows of yours" in (limited.refusal("a", 1, 8) or "")


def test_bytes_are_shared_alike() -> None:
    """Rows or bytes, whichever is used up first."""
    assert fill(queue(max_queue_bytes=800), "a") == 75


def test_a_large_request_to_an_empty_queue() -> None:
    """Who has nothing waiting may use all of it, otherwise a request above the share could never be run."""
    limited = queue(max_queue_rows=100)
    assert limited.refusal("a", 100, 8) is None
    assert limited.refusal("a", 101, 8) is not None


def test_a_whole_share_is_no_limit() -> None:
    """With a share of 1 only the queue's own bounds count."""
    assert fill(queue(max_queue_rows=100, tenant_share=1.0), "a") == 100


def test_batches_are_fair() -> None:
    """Ten times as many requests give no larger part of a batch: tenants alternate."""
    mixed = queue()
    for _ in range(40):
        mixed.add(work("hostile"))
    for _ in range(4):
        mixed.add(work("victim"))
    assert tenants(take(mixed)) == {"hostile": 4, "victim": 4}
    assert tenants(take(mixed)) == {"hostile": 8}


def test_fairness_is_in_cost() -> None:
    """A tenant with requests of eight rows gets one for eight of another's single rows."""
    mixed = queue(most_rows=8)
    for _ in range(20):
        mixed.add(work("large", rows=8))
    for _ in range(200):
        mixed.add(work("small"))
    rows: Counter[str] = Counter()
    for _ in range(20):
        for one in take(mixed):
            rows[one.request.tenant] += one.rows
    assert abs(rows["large"] - rows["small"]) <= 8


def test_other_shapes_have_their_turn() -> None:
    """A tenant alone in its bucket waits for one batch of the others, not for all of them."""
    mixed = queue()
    for _ in range(40):
        mixed.add(work("hostile"))
    take(mixed)
    mixed.add(work("victim", key=((3,),)))
    assert tenants(take(mixed)) == {"victim": 1}


def test_who_comes_back_has_a_bounded_credit() -> None:
    """A tenant that was away is served first for a while, and then alternates: it cannot save up a hold on the model."""
    mixed = queue(most_rows=1)
    mixed.add(work("away"))
    take(mixed, room=1)
    for _ in range(1000):
        mixed.add(work("busy"))
    for _ in range(100):
        take(mixed, room=1)
    for _ in range(100):
        mixed.add(work("away"))
    order = [next(iter(tenants(take(mixed, room=1)))) for _ in range(40)]
    first = order.index("busy")
    assert 2 <= first <= 10
    assert abs(order[first:].count("away") - order[first:].count("busy")) <= 1


def test_who_was_alone_owes_nothing() -> None:
    """What was used while nobody else waited is not held against a tenant when somebody comes."""
    mixed = queue(most_rows=1)
    for _ in range(500):
        mixed.add(work("early"))
        take(mixed, room=1)
    for tenant in ["early", "late"] * 40:
        mixed.add(work(tenant))
    order = [next(iter(tenants(take(mixed, room=1)))) for _ in range(40)]
    assert 15 <= order.count("early") <= 25


def test_failures_are_paid_for() -> None:
    """The executions that a failing request caused are on its tenant's account."""
    mixed = queue(most_rows=1)
    for tenant in ["poison", "clean"] * 50:
        mixed.add(work(tenant))
    take(mixed, room=1)
    mixed.accounts.charge_failure("poison", 20)
    mixed.accounts.charge_failure("unknown", 20)
    order = [next(iter(tenants(take(mixed, room=1)))) for _ in range(20)]
    assert order.count("poison") <= 2


def test_priorities_inside_a_tenant() -> None:
    """The highest class first; another tenant's order is not touched by it."""
    mixed = queue(most_rows=1)
    for priority in (5, 0, 1):
        mixed.add(work("acme", priority=priority))
    mixed.add(work("bolt", priority=5))
    order = [take(mixed, room=1)[0].request for _ in range(4)]
    assert [one.priority for one in order if one.tenant == "acme"] == [1, 0, 5]
    assert "bolt" in [one.tenant for one in order[:2]]


def test_rooms_and_rows_bound_a_batch() -> None:
    """Units or rows, whichever ends first; at least the request whose turn it is."""
    mixed = queue(most_rows=8)
    for rows in (9, 3, 3, 3):
        mixed.add(work(rows=rows))
    assert [[one.rows for one in take(mixed, room)] for room in (1, 8, 2)] == [[9], [3, 3], [3]]


def test_company_does_not_break_a_deadline() -> None:
    """A batch grows only while the earliest deadline in it can be met."""
    mixed = queue()
    mixed.add(work(deadline=0.0035))
    for _ in range(7):
        mixed.add(work())
    assert len(take(mixed)) == 3
    mixed.add(work(deadline=0.0025))
    assert len(take(mixed)) == 5
    assert take(mixed)[0].request.deadline == 0.0025


def test_lengths_decide_with_whom() -> None:
    """Requests of a ragged bucket are grouped by length, around the one whose turn it is."""
    mixed = queue()
    for tenant, length in (("a", 100), ("a", 8), ("b", 8), ("b", 8), ("a", 8), ("b", 100)):
        mixed.add(work(tenant, length=length, key=((-1,),)))
    teach(mixed.lengths, lambda units: 0.01 + 0.0002 * units)
    assert {one.length for one in take(mixed)} == {100}
    assert {one.length for one in take(mixed)} == {8}
    assert not mixed


def test_ten_thousand_shapes() -> None:
    """Each in its own bucket, each run, in order; afterwards nothing is left of them."""
    mixed = queue(max_queue_rows=20_000, tenant_share=1.0)
    for width in range(10_000):
        assert mixed.refusal("acme", 1, 8) is None
        mixed.add(work(key=((width,),)))
    assert [take(mixed)[0].key for _ in range(10_000)] == [((width,),) for width in range(10_000)]
    assert (mixed.rows, mixed.size, mixed.units) == (0, 0, 0)
    assert not mixed._buckets
    assert not mixed._active
    assert not any(lanes for tenant in mixed.accounts._known.values() for lanes in tenant._classes)


def test_accounts_are_bounded() -> None:
    """Ten thousand tenants that came once do not stay."""
    mixed = queue()
    mixed.add(work("stays"))
    for number in range(10_000):
        mixed.add(work(f"tenant-{number}"))
        mixed.discard(next(iter(list(mixed)[-1])))
    assert len(mixed.accounts._known) < 1100
    assert mixed.held("stays") == (1, 8)


@pytest.mark.parametrize("priority", [0, 1])
def test_what_is_ahead(priority: int) -> None:
    """A tenant's own requests of its class and above, and as many of each other's, at most everything."""
    mixed = queue()
    for tenant, own in (("a", 0), ("a", 1), ("b", 0), ("b", 0), ("b", 0)):
        mixed.add(work(tenant, priority=own))
    assert mixed.ahead("a", priority) == {0: 4, 1: 2}[priority]
    assert mixed.ahead("new", priority) == 0


def test_clear_gives_everything_back() -> None:
    """What waited and what was to run again."""
    mixed = queue()
    for _ in range(3):
        mixed.add(work())
    mixed.again(take(mixed, room=1), 1)
    assert len(mixed.clear()) == 3
    assert not mixed
