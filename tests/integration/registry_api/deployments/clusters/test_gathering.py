# SPDX-License-Identifier: Apache-2.0
"""What pods print is copied, look by look, through restarts, bursts and ends of pods."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from artifacts.digest import digest_bytes
from core.clock import SystemClock
from core.errors import FuroshikiError
from registry_api.deployments.clusters import gathering
from registry_api.deployments.clusters.gathering import Gatherer
from registry_api.deployments.kubernetes.cluster import Cluster
from registry_api.deployments.kubernetes.opening import opened
from registry_api.deployments.kubernetes.testing import Asked, ClusterServer, Refused
from registry_api.deployments.kubernetes.testing.controllers import waiting
from registry_api.deployments.logs import read_log
from registry_api.settings.worker import KubernetesSettings
from tests.integration.registry_api.deployments.kubernetes.wanting import wanted

WANTED = wanted(name="shop")


@pytest.fixture
def server() -> Iterator[ClusterServer]:
    served = ClusterServer()
    with served.running():
        yield served


@pytest.fixture
def cluster(server: ClusterServer, tmp_path: Path) -> Cluster:
    settings = KubernetesSettings(
        namespace="ml", images="registry.example.com", kubeconfig=server.kubeconfig(tmp_path / "kubeconfig")
    )
    made = opened(settings, SystemClock(), registry_url="https://registry.example.com")
    made.apply(WANTED)
    return made


def pods(server: ClusterServer) -> list[str]:
    return [each["metadata"]["name"] for each in server.objects.every("pods")]


def second(number: int) -> str:
    return f"2026-01-01T00:00:{number:02d}.000000000Z"


def look(cluster: Cluster, folder: Path) -> dict[str, str]:
    """Gathers, and what is there then, by pod."""
    asyncio.run(Gatherer(cluster, folder=folder).gather("acme", "shop", "id"))
    found = {path.name: read_log(path / "logs", offset=0, limit=1 << 30) for path in (folder / "id").iterdir()}
    return {name: part.data.decode() for name, part in found.items()}


def test_each_look_reads_on(server: ClusterServer, cluster: Cluster, tmp_path: Path) -> None:
    """Lines of one second come once, though the API is asked from its beginning again, by whatever worker."""
    (pod,) = pods(server)
    server.controllers.printing.say(pod, "a", "b", at=second(1))
    assert look(cluster, tmp_path / "d") == {pod: "a\nb\n"}
    server.controllers.printing.say(pod, "c", at=second(1))
    server.controllers.printing.say(pod, "d", at=second(2))
    assert look(cluster, tmp_path / "d") == {pod: "a\nb\nc\nd\n"}
    assert look(cluster, tmp_path / "d") == {pod: "a\nb\nc\nd\n"}
    asked = [each.query.get("sinceTime") for each in server.asked if each.log]
    assert asked == [None, "2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z"]


def test_what_came_before_a_restart_is_read_too(server: ClusterServer, cluster: Cluster, tmp_path: Path) -> None:
    """The last words of the container that ended come before the first of the next one, and only once."""
    (pod,) = pods(server)
    printing = server.controllers.printing
    printing.say(pod, "begins", at=second(1))
    look(cluster, tmp_path / "d")
    printing.say(pod, "last words", at=second(2))
    printing.restart(pod)
    printing.say(pod, "begins again", at=second(3))
    assert look(cluster, tmp_path / "d") == {pod: "begins\nlast words\nbegins again\n"}
    assert look(cluster, tmp_path / "d") == {pod: "begins\nlast words\nbegins again\n"}


def test_a_pod_that_did_not_start_has_no_log(server: ClusterServer, cluster: Cluster, tmp_path: Path) -> None:
    """The API refuses to show any: that is no error."""
    server.controllers.pod = waiting("ContainerCreating")
    server.controllers.roll(f"{cluster.release('acme', 'shop')}-model")
    assert list(look(cluster, tmp_path / "d").values()) == [""]


def test_a_burst_is_read_in_pieces(
    server: ClusterServer, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded looks come to its end; of a second that is too long for any look a part is left out, and that is said."""
    monkeypatch.setattr(gathering, "LOOK_BYTES", 8192)
    monkeypatch.setattr(gathering, "MOST_BYTES", 16384)
    (pod,) = pods(server)
    lines = [f"{number:0100d}" for number in range(150)]
    server.controllers.printing.say(pod, *lines[:60], at=second(1))  # about 8 KB: not in one look
    server.controllers.printing.say(pod, *lines[60:], at=second(2))
    for _ in range(6):
        read = look(cluster, tmp_path / "d")[pod].splitlines()
    assert read == lines
    server.controllers.printing.say(pod, *lines, *lines, at=second(3))  # more than any look sees
    server.controllers.printing.say(pod, "after", at=second(4))
    for _ in range(6):
        read = look(cluster, tmp_path / "d")[pod].splitlines()
    assert read[-2:] == ["[the pod printed more in this second than is copied]", "after"]
    assert read[150:-2] == (lines * 2)[: len(read) - 152]


def test_pods_that_are_gone_stay_readable_the_newest_few(
    server: ClusterServer, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their folders go when there are more of them than are kept; those of pods that are there never do."""
    monkeypatch.setattr(gathering, "KEPT_PODS", 1)
    (first,) = pods(server)
    server.controllers.printing.say(first, "a", at=second(1))
    look(cluster, tmp_path / "d")
    for image in (b"second", b"third"):
        cluster.apply(replace(WANTED, image=digest_bytes(image)))
        (last,) = pods(server)
        found = look(cluster, tmp_path / "d")
        assert (len(found), last in found) == (2, True)
    assert first not in found


def test_a_cluster_that_forbids_it_says_so(server: ClusterServer, cluster: Cluster, tmp_path: Path) -> None:
    """An account without the right to read logs is an error with its code, and nothing is there."""
    said = 'pods "x" is forbidden: User "w" cannot get resource "pods/log" in API group "" in the namespace "ml"'

    def before(asked: Asked) -> None:
        if asked.log:
            raise Refused(403, said)

    server.before = before
    with pytest.raises(FuroshikiError) as refused:
        look(cluster, tmp_path / "d")
    assert refused.value.code == "CLUSTER_002"


def test_a_node_that_is_away_keeps_only_its_own_pods_silent(
    server: ClusterServer, cluster: Cluster, tmp_path: Path
) -> None:
    """The log of one pod cannot be had, which is asked once; those of the others are copied."""
    cluster.apply(replace(WANTED, replicas=3))
    names = pods(server)
    for pod in names:
        server.controllers.printing.say(pod, "a", at=second(1))

    def before(asked: Asked) -> None:
        if asked.log and asked.name == names[1]:
            raise Refused(502, "dial tcp 10.0.0.1:10250: i/o timeout")

    server.before = before
    with pytest.raises(FuroshikiError) as refused:
        look(cluster, tmp_path / "d")
    assert refused.value.code == "CLUSTER_001"
    written = {path.parents[1].name for path in (tmp_path / "d").glob("id/*/logs/*.log")}
    assert written == {names[0], names[2]}
    assert len([each for each in server.asked if each.log and each.name == names[1]]) == 1
