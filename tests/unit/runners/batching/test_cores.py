# SPDX-License-Identifier: Apache-2.0
"""Sharing the cores of a device between tenants."""

from __future__ import annotations

from collections.abc import Callable

from runners.batching.cores import Cores


class Model:
    """Wants as many executions as it gets."""

    def __init__(self, cores: Cores, tenant: str) -> None:
        self._cores = cores
        self.tenant = tenant
        self.running = 0
        self.woken = 0

    def start(self) -> bool:
        started = self._cores.start(self.tenant, self.wake)
        self.running += started
        return started

    def end(self) -> None:
        self.running -= 1
        self._cores.end(self.tenant)

    def wake(self) -> None:
        self.woken += 1


def fill(start: Callable[[], bool]) -> int:
    return sum(iter(start, False))


def test_one_tenant_may_use_every_core() -> None:
    """And no more than there are."""
    assert fill(Model(Cores(4), "a").start) == 4


def test_nobody_waits_for_another_tenant() -> None:
    """While one keeps every core busy, another starts its share at once."""
    cores = Cores(4)
    greedy, modest = Model(cores, "a"), Model(cores, "b")
    fill(greedy.start)
    assert fill(modest.start) == 2
    greedy.end()
    greedy.end()
    assert not greedy.start()
    greedy.end()
    assert greedy.start()


def test_more_tenants_than_cores() -> None:
    """Each has one execution; none has two."""
    cores = Cores(2)
    models = [Model(cores, name) for name in "abcde"]
    assert [fill(model.start) for model in models[1:]] == [2, 1, 1, 1]
    assert fill(models[0].start) == 1


def test_two_models_of_a_tenant_share_its_share() -> None:
    """The share is the tenant's, not the model's."""
    cores = Cores(2)
    first, second, other = Model(cores, "a"), Model(cores, "a"), Model(cores, "b")
    assert first.start()
    assert other.start()
    assert not second.start()


def test_who_was_refused_is_woken_until_granted() -> None:
    """At every end, and not any more once it runs or gave up."""
    cores = Cores(1)
    first, second, third = Model(cores, "a"), Model(cores, "a"), Model(cores, "a")
    first.start()
    second.start()
    third.start()
    first.end()
    assert (second.woken, third.woken) == (1, 1)
    assert second.start()
    cores.forget(third.wake)
    second.end()
    assert (second.woken, third.woken) == (1, 1)


def test_a_spare_core_goes_to_who_waits_longest() -> None:
    """Not to whoever gave it back."""
    cores = Cores(3)
    greedy, patient = Model(cores, "a"), Model(cores, "b")
    for model in (greedy, greedy, greedy, patient):
        assert model.start()
    assert not patient.start()
    greedy.end()
    greedy.end()
    assert not greedy.start()
    assert patient.start()
