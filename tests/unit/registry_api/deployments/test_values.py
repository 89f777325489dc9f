# SPDX-License-Identifier: Apache-2.0
"""A deployment knows what it should be, and how it differs from that."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from core.errors import ErrorCode
from registry_api.deployments.states import DeploymentState
from registry_api.deployments.values import AuthMode, Deployment, Instance, InstanceState, TargetKind, Template
from registry_api.jobs.interface import Fault

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FAULT = Fault(code=ErrorCode.JOB_FAILED, message="It did not answer.")
TEMPLATE = Template(
    build_id="b",
    model="digits",
    version=1,
    digest="sha256:" + "0" * 64,
    target=TargetKind.PROCESS,
    auth=AuthMode.OPEN,
)
SHOP = Deployment(
    id="d",
    tenant="acme",
    name="shop",
    template=TEMPLATE,
    replicas=2,
    revision=2,
    serving_revision=1,
    state=DeploymentState.RUNNING,
    instances=(),
    run=None,
    job_id="j",
    error=None,
    created_at=NOW,
    updated_at=NOW,
)


def instance(run: str, revision: int, state: InstanceState = InstanceState.READY) -> Instance:
    return Instance(run=run, revision=revision, host="here", state=state)


def test_an_update_under_way_aims_at_what_is_wanted_and_a_failed_one_at_what_serves() -> None:
    """Without an error the goal is the wanted revision; with one, the revision that serves, if any does."""
    assert SHOP.goal == 2
    assert replace(SHOP, error=FAULT).goal == 1
    assert replace(SHOP, error=FAULT, serving_revision=None).goal == 2


def test_who_serves_is_shown_first() -> None:
    """Ready instances of the serving revision come before others, which keep their order."""
    instances = (instance("a", 2), instance("b", 1), instance("c", 1), instance("d", 2, InstanceState.STARTING))
    assert [each.run for each in replace(SHOP, instances=instances).ready] == ["b", "c", "a"]


@pytest.mark.parametrize(
    ("instances", "expected"),
    [
        ((instance("a", 2), instance("b", 2)), ()),
        ((instance("a", 2), instance("b", 1)), ("1 of 2 instances of revision 2 ready", "1 instance too many")),
        ((instance("a", 2), instance("b", 2), instance("c", 2)), ("1 instance too many",)),
        ((instance("a", 2), instance("b", 2, InstanceState.STARTING)), ("1 of 2 instances of revision 2 ready",)),
        ((), ("0 of 2 instances of revision 2 ready",)),
    ],
)
def test_drift_is_told_in_words(instances: tuple[Instance, ...], expected: tuple[str, ...]) -> None:
    """Too few of the wanted revision and too many of any are named; nothing else is drift."""
    shop = replace(SHOP, instances=instances)
    assert shop.drift == expected
    assert shop.settled == (expected == ())


def test_what_is_over_does_not_drift() -> None:
    """A stopped deployment wants nothing."""
    assert replace(SHOP, state=DeploymentState.STOPPED).drift == ()


@pytest.mark.parametrize(("state", "settled"), [(InstanceState.ENDING, True), (InstanceState.STARTING, False)])
def test_an_instance_on_its_way_out_needs_no_repair(state: InstanceState, settled: bool) -> None:
    """All that is wanted is ready: what ends is its own machine's business, what starts is nobody's wish."""
    shop = replace(SHOP, instances=(instance("a", 2), instance("b", 2), instance("c", 1, state)))
    assert (shop.drift, shop.settled) == ((), settled)


CLUSTERED = replace(SHOP, template=replace(TEMPLATE, target=TargetKind.KUBERNETES), address="http://shop.ml.svc:3000")


@pytest.mark.parametrize(
    ("changes", "drift", "settled"),
    [
        ({"serving_revision": 2}, (), True),
        ({}, ("revision 1 serves instead of 2",), False),
        ({"error": FAULT}, ("revision 1 serves instead of 2",), True),
        ({"serving_revision": 2, "error": FAULT}, ("the cluster has not got as far as is wanted",), True),
        ({"state": DeploymentState.STARTING}, ("no pod of revision 2 is known to be ready",), False),
        ({"state": DeploymentState.FAILED}, (), False),
    ],
)
def test_in_a_cluster_there_are_no_instances_to_count(
    changes: dict[str, Any], drift: tuple[str, ...], settled: bool
) -> None:
    """What serves, and whether anything does, is what its row says; only then it has an address."""
    shop = replace(CLUSTERED, **changes)
    assert (shop.drift, shop.settled) == (drift, settled)
    assert shop.url == (CLUSTERED.address if shop.state is DeploymentState.RUNNING else None)


def test_on_machines_the_first_that_serves_has_the_address() -> None:
    """Without a ready instance there is none, whatever was noted."""
    ready = replace(instance("a", 1), url="http://127.0.0.1:1")
    assert replace(SHOP, instances=(ready,), address="http://old").url == "http://127.0.0.1:1"
    assert replace(SHOP, address="http://old").url is None
