# SPDX-License-Identifier: Apache-2.0
"""A deployment is followed until it is ready, through everything that may happen to a watch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest

from artifacts.digest import digest_bytes
from core.errors import FuroshikiError
from registry_api.deployments.kubernetes.cluster import Cluster
from registry_api.deployments.kubernetes.testing import Asked, ClusterServer, Refused
from registry_api.deployments.kubernetes.testing.controllers import READY, unschedulable, waiting
from registry_api.deployments.kubernetes.values import Status
from tests.integration.registry_api.deployments.kubernetes.wanting import SERVER, wanted

QUOTA = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: pods"}
LATE = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "has timed out"}
CRASH = waiting("CrashLoopBackOff", "back-off 40s", exit_code=3)


@pytest.mark.parametrize(
    ("pod", "conditions", "code", "said"),
    [
        (unschedulable("0/3 nodes: Insufficient cpu"), [], "CLUSTER_005", "Insufficient cpu"),
        (waiting("ImagePullBackOff", "401 Unauthorized"), [], "CLUSTER_006", "ImagePullBackOff: 401"),
        (waiting("InvalidImageName"), [], "CLUSTER_006", "InvalidImageName"),
        (CRASH, [], "CLUSTER_007", "last exit code 3, Error"),
        (CRASH, [LATE], "CLUSTER_007", "CrashLoopBackOff"),
        (waiting("ContainerCreating"), [LATE], "CLUSTER_007", "has timed out"),
        (waiting("ContainerCreating"), [], "CLUSTER_007", "gives no reason"),
        (waiting("ContainerCreating"), [QUOTA], "CLUSTER_005", "exceeded quota"),
    ],
)
def test_what_keeps_it_from_being_ready_has_a_code(
    pod: dict[str, Any], conditions: list[dict[str, Any]], code: str, said: str, server: ClusterServer, cluster: Cluster
) -> None:
    """The first reason is the error; how many pods are ready stands beside it. Waiting again is no use."""
    server.controllers.pod, server.controllers.conditions = pod, conditions
    cluster.apply(wanted())
    with pytest.raises(FuroshikiError) as refused:
        cluster.until_ready("acme", "digits", seconds=0)

    assert (refused.value.code, refused.value.retryable) == (code, False)
    assert said in refused.value.message
    assert "0 of 1 pods" in refused.value.message


def test_what_cannot_get_better_is_not_waited_for(server: ClusterServer, cluster: Cluster) -> None:
    """After the cluster's own deadline the wait ends at once."""
    server.controllers.pod, server.controllers.conditions = waiting("ContainerCreating"), [LATE]
    cluster.apply(wanted())
    told: list[Status] = []
    with pytest.raises(FuroshikiError):
        cluster.until_ready("acme", "digits", seconds=3600, told=told.append)

    assert [each.ready for each in told] == [0]


def test_old_pods_do_not_count(server: ClusterServer, cluster: Cluster) -> None:
    """While the controller has not seen the update, or earlier pods are left, it is not done."""
    cluster.apply(wanted())
    server.controllers.idle = True
    cluster.apply(wanted(revision=2, replicas=2))
    unseen = cluster.status("acme", "digits")
    server.objects.set_status(
        "deployments", SERVER, {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "readyReplicas": 2}
    )
    rolling = cluster.status("acme", "digits")

    assert (unseen.observed, unseen.done) == (False, False)
    assert (rolling.observed, rolling.left, rolling.done) == (True, 1, False)


@pytest.mark.parametrize("trouble", ["ends", "gone", "refused", "cut", "away"])
def test_a_watch_may_break(trouble: str, server: ClusterServer, make: Callable[..., Cluster]) -> None:
    """It ends, its version is too old (410), it is refused or cut off, the API is away: the wait goes on."""
    check, broken = server.before, threading.Event()

    def before(asked: Asked) -> None:
        check(asked)
        if asked.query.get("watch") == "true" and not broken.is_set():
            broken.set()
            if trouble == "gone":
                server.objects.set_status("deployments", SERVER, {})
                server.objects.forget()
            elif trouble == "refused":
                raise Refused(HTTPStatus.GONE, "too old")
            elif trouble in {"cut", "away"}:
                raise ConnectionError
        elif trouble == "away" and broken.is_set() and len(pauses) < 4:
            raise ConnectionError

    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 5 or trouble != "away":
            server.controllers.idle = False
            server.controllers.roll(SERVER)

    cluster = make(pause=pause)
    server.controllers.idle = True
    cluster.apply(wanted())
    server.before = before
    status = cluster.until_ready("acme", "digits", seconds=30)

    assert broken.is_set()
    assert status.done


def test_a_change_is_heard_at_once(server: ClusterServer, cluster: Cluster) -> None:
    """The watch tells of the change; nobody waits for the next look."""
    server.controllers.idle = True
    cluster.apply(wanted())
    told: list[Status] = []
    check = server.before

    def before(asked: Asked) -> None:
        check(asked)
        if asked.query.get("watch") == "true":
            server.controllers.roll(SERVER)

    server.before = before
    cluster.until_ready("acme", "digits", seconds=30, told=told.append)

    assert [each.ready for each in told] == [0, 1]


def test_one_that_is_removed_meanwhile_is_not_waited_for(server: ClusterServer, cluster: Cluster) -> None:
    """Somebody deleted it: there is no such deployment."""
    server.controllers.idle = True
    cluster.apply(wanted())

    def told(_: Status) -> None:
        if server.objects.get("deployments", SERVER):
            server.objects.drop("deployments", SERVER)

    with pytest.raises(FuroshikiError) as refused:
        cluster.until_ready("acme", "digits", seconds=30, told=told)

    assert refused.value.code == "DEPLOY_001"


def test_a_cancelled_wait_ends(server: ClusterServer, cluster: Cluster) -> None:
    """What the listener raises goes to the caller."""
    server.controllers.idle = True
    cluster.apply(wanted())

    def told(_: Status) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cluster.until_ready("acme", "digits", seconds=30, told=told)


def updating(server: ClusterServer, make: Callable[..., Cluster]) -> Cluster:
    """A cluster that was asked for an update, whose controller takes it up only when it is waited for."""

    def pause(_: float) -> None:
        server.controllers.roll(SERVER)

    cluster = make(pause=pause)
    cluster.apply(wanted())
    server.controllers.idle = True
    cluster.apply(wanted(revision=2, image=digest_bytes(b"another")))
    return cluster


def test_conditions_of_what_was_before_are_not_believed(server: ClusterServer, make: Callable[..., Cluster]) -> None:
    """An update after one that took too long: the old verdict stands until the controller has seen the new one."""
    server.controllers.pod, server.controllers.conditions = waiting("ContainerCreating"), [LATE]
    cluster = updating(server, make)
    server.controllers.pod, server.controllers.conditions = READY, []

    assert cluster.until_ready("acme", "digits", seconds=30).done


def test_pods_of_an_earlier_image_end_no_wait(server: ClusterServer, make: Callable[..., Cluster]) -> None:
    """A pod of the image before, which could never be pulled, is still there: the new one is waited for."""
    server.controllers.pod = waiting("InvalidImageName")
    cluster = updating(server, make)
    status = {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 0}
    server.objects.set_status("deployments", SERVER, status)
    server.controllers.pod = READY
    told: list[Status] = []

    assert cluster.until_ready("acme", "digits", seconds=30, told=told.append).done
    assert told[0].trouble is not None
    assert (told[0].trouble.reason, told[0].trouble.final) == ("InvalidImageName", False)


def test_without_another_reason_the_last_warning_is_told(server: ClusterServer, cluster: Cluster) -> None:
    """A volume that cannot be mounted is in the events only; those of others do not count."""
    server.controllers.pod = waiting("ContainerCreating")
    cluster.apply(wanted())
    for name, kind, message in (
        (f"{SERVER}-1", "Warning", 'MountVolume.SetUp failed: secret "service" not found'),
        (f"{SERVER}-2", "Normal", "Pulled"),
        ("f-acme-wine-model", "Warning", "of another"),
    ):
        about = {"involvedObject": {"kind": "Pod", "name": name}, "type": kind, "reason": "FailedMount"}
        told = {"metadata": {"name": f"{name}.1"}, "message": message, "lastTimestamp": "2026-01-01T00:00:00Z"}
        server.objects.put("events", {"apiVersion": "v1", "kind": "Event", **about, **told})
    with pytest.raises(FuroshikiError, match='FailedMount: MountVolume.SetUp failed: secret "service" not found'):
        cluster.until_ready("acme", "digits", seconds=0)


def test_a_watch_that_is_refused_is_not_asked_without_pause(
    server: ClusterServer, make: Callable[..., Cluster]
) -> None:
    """An account that may not watch: looks are a second apart, not as many as the network allows."""
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            server.controllers.roll(SERVER)

    def before(asked: Asked) -> None:
        if asked.query.get("watch") == "true":
            raise Refused(HTTPStatus.FORBIDDEN, "cannot watch")

    cluster = make(pause=pause)
    server.controllers.idle = True
    cluster.apply(wanted())
    server.before = before
    cluster.until_ready("acme", "digits", seconds=30)

    assert pauses == [1.0, 1.0, 1.0]
