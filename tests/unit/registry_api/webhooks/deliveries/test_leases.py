# SPDX-License-Identifier: Apache-2.0
"""A lease is lost when its token has not changed for long enough, by the time between two looks and by nothing else."""

from __future__ import annotations

from registry_api.webhooks.deliveries.leases import LeaseWatch


def test_a_lease_is_lost_after_its_time() -> None:
    """Not at the first sight, and not before."""
    watch = LeaseWatch(10)
    assert watch.lost({1: "a"}, 100) == {}
    assert watch.lost({1: "a"}, 109.9) == {}
    assert watch.lost({1: "a"}, 110) == {1: "a"}


def test_another_token_is_another_lease() -> None:
    """A delivery that was taken again, or let go of in between, starts anew."""
    watch = LeaseWatch(10)
    watch.lost({1: "a", 2: "b"}, 0)
    assert watch.lost({1: "other"}, 10) == {}
    assert watch.lost({1: "other", 2: "b"}, 15) == {}
    assert watch.lost({1: "other", 2: "b"}, 20) == {1: "other"}
