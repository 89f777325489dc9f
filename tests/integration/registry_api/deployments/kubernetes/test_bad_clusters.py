# SPDX-License-Identifier: Apache-2.0
"""Clusters that refuse, are away, belong to others as well, or are not what the configuration says: a code each."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import pytest

from core.errors import FuroshikiError
from registry_api.deployments.kubernetes.cluster import Cluster
from registry_api.deployments.kubernetes.testing import Asked, ClusterServer, Refused
from registry_api.deployments.values import AuthMode
from tests.integration.registry_api.deployments.kubernetes.wanting import SERVER, wanted

RBAC = (
    'deployments.apps "x" is forbidden: User "system:serviceaccount:ml:worker" cannot patch resource "deployments" '
    'in API group "apps" in the namespace "ml"'
)
QUOTA = 'services "x" is forbidden: exceeded quota: small, requested: services=1, used: services=5, limited: services=5'
WEBHOOK = 'admission webhook "policy.example.com" denied the request: images of strangers'
ENDING = "unable to create new content in namespace ml because it is being terminated"


@pytest.mark.parametrize(
    ("status", "message", "code", "said"),
    [
        (HTTPStatus.FORBIDDEN, RBAC, "CLUSTER_002", "worker.manageDeployments"),
        (HTTPStatus.FORBIDDEN, QUOTA, "CLUSTER_005", "exceeded quota: small"),
        (HTTPStatus.FORBIDDEN, WEBHOOK, "CLUSTER_003", "images of strangers"),
        (HTTPStatus.FORBIDDEN, ENDING, "CLUSTER_004", "being terminated"),
        (HTTPStatus.BAD_REQUEST, 'unknown field "spec.replica"', "CLUSTER_003", "spec.replica"),
        (HTTPStatus.INTERNAL_SERVER_ERROR, 'failed calling webhook "policy"', "CLUSTER_001", "failed calling webhook"),
        (HTTPStatus.SERVICE_UNAVAILABLE, "apiserver is shutting down", "CLUSTER_001", "shutting down"),
    ],
)
def test_a_refusal_has_its_code(
    status: int, message: str, code: str, said: str, server: ClusterServer, cluster: Cluster
) -> None:
    """The cluster's own sentence is told, and nothing is left in it."""

    def before(asked: Asked) -> None:
        if asked.method == "PATCH":
            raise Refused(status, message)

    server.before = before
    error = failure(lambda: cluster.apply(wanted()))

    assert (error.code, error.retryable) == (code, code in {"CLUSTER_001", "CLUSTER_005"})
    assert said in error.message
    assert server.objects.names() == set()


def failure(act: Callable[[], object]) -> FuroshikiError:
    try:
        act()
    except FuroshikiError as error:
        return error
    raise AssertionError("it succeeded")


def test_a_namespace_that_is_not_there(make: Callable[..., Cluster]) -> None:
    """Applying says so; who only looks finds nothing there, as the API itself does not tell the two apart."""
    cluster = make(namespace="nowhere")

    assert failure(lambda: cluster.apply(wanted())).code == "CLUSTER_004"
    assert not cluster.status("acme", "digits").found


def test_a_cluster_that_is_away(make: Callable[..., Cluster], server: ClusterServer, tmp_path: Path) -> None:
    """Nobody listens, or what answers is no Kubernetes: the same code, after several attempts with growing pauses."""
    pauses: list[float] = []
    server.url = "http://127.0.0.1:1"
    cluster = make(kubeconfig=server.kubeconfig(tmp_path / "away"), pause=pauses.append)
    error = failure(lambda: cluster.status("acme", "digits"))

    assert (error.code, error.retryable) == ("CLUSTER_001", True)
    assert pauses == [0.5, 1.0]


def test_a_call_that_is_cut_off_is_repeated(server: ClusterServer, cluster: Cluster) -> None:
    """Each call may fail twice; what was asked happens once."""
    seen: dict[tuple[str, str, str | None, bool], int] = {}
    check = server.before

    def before(asked: Asked) -> None:
        key = (asked.method, asked.plural, asked.name, asked.dry)
        seen[key] = seen.get(key, 0) + 1
        if seen[key] == 1:
            raise ConnectionError
        if seen[key] == 2:
            raise Refused(HTTPStatus.TOO_MANY_REQUESTS, "too many requests")
        check(asked)

    server.before = before
    cluster.apply(wanted())

    found = server.objects.get("deployments", SERVER)
    assert found is not None
    assert found["metadata"]["generation"] == 1


def test_who_is_asked_to_come_later_does(server: ClusterServer, make: Callable[..., Cluster]) -> None:
    """The API's own flow control says how long (Retry-After); no longer than a call may take is waited."""
    pauses: list[float] = []
    cluster = make(pause=pauses.append)
    later = iter([1, 3600])

    def before(_asked: Asked) -> None:
        if (seconds := next(later, None)) is not None:
            raise Refused(HTTPStatus.TOO_MANY_REQUESTS, "too many requests", retry_after=seconds)

    server.before = before
    assert not cluster.status("acme", "digits").found
    assert pauses == [1.0, 2.0]  # 2 s is the longest call here


def test_a_redirect_is_not_followed(server: ClusterServer, make: Callable[..., Cluster]) -> None:
    """Whoever answers in the cluster's place gets no token to carry elsewhere."""

    def before(_asked: Asked) -> None:
        raise Refused(HTTPStatus.TEMPORARY_REDIRECT, "over there")

    server.before = before
    cluster = make()

    assert failure(lambda: cluster.status("acme", "digits")).code == "CLUSTER_003"
    assert len(server.asked) == 1


def test_a_selector_that_may_not_change_is_told(server: ClusterServer, cluster: Cluster) -> None:
    """A Deployment with another selector, of an older chart, say: refused as a dry run, and nothing has changed."""
    cluster.apply(wanted())
    found = server.objects.get("deployments", SERVER)
    assert found is not None
    older = {"selector": {"matchLabels": {"app": "older"}}, "template": found["spec"]["template"]}
    server.objects.drop("deployments", SERVER)
    server.objects.put(
        "deployments", {**found, "metadata": {"name": SERVER, "labels": found["metadata"]["labels"]}, "spec": older}
    )
    error = failure(lambda: cluster.apply(wanted(revision=2, trust="{}")))

    assert (error.code, error.details["fields"]) == ("CLUSTER_003", ["spec.selector"])
    assert not any(each.startswith("configmaps/") for each in server.objects.names())


def test_a_token_that_was_replaced_is_read_again(
    server: ClusterServer, make: Callable[..., Cluster], tmp_path: Path
) -> None:
    """An expired token costs one refused call when the file has a new one; when it has not, the error says so."""
    config = server.kubeconfig(tmp_path / "config")
    cluster = make(kubeconfig=config)
    assert not cluster.status("acme", "digits").found
    server.token = "another"
    error = failure(lambda: cluster.status("acme", "digits"))
    assert error.code == "CLUSTER_002"

    server.kubeconfig(config)
    assert not cluster.status("acme", "digits").found


def test_a_configuration_that_is_none(make: Callable[..., Cluster], tmp_path: Path) -> None:
    """A missing file, one that is no YAML, one that is no configuration: the setting is wrong."""
    empty = tmp_path / "empty"
    empty.write_text("")
    wrong = tmp_path / "wrong"
    wrong.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "contexts": [], "current-context": "x"}))

    broken = tmp_path / "broken"
    broken.write_text("contexts: [")
    text = tmp_path / "text"
    text.write_text("a text")
    nameless = tmp_path / "nameless"
    nameless.write_text(json.dumps({"contexts": [{}], "clusters": 5, "current-context": "x"}))

    for path in (tmp_path / "missing", empty, wrong, broken, text, nameless):
        assert failure(lambda path=path: make(kubeconfig=path).status("acme", "digits")).code == "INIT_002"  # type: ignore[misc]


def test_a_field_that_another_manager_holds(server: ClusterServer, cluster: Cluster) -> None:
    """Who changed it, and which fields, is told; it is not forced, and nothing else changed either."""
    cluster.apply(wanted())
    server.objects.edit(
        "deployments", SERVER, manager="kubectl-edit", change=lambda each: each["spec"].update(replicas=5)
    )
    error = failure(lambda: cluster.apply(wanted(replicas=2, trust="{}")))

    assert (error.code, error.details["fields"]) == ("STATE_001", [".spec.replicas"])
    assert "kubectl-edit" in error.message
    assert not any(each.startswith("configmaps/") for each in server.objects.names())


def test_an_object_of_somebody_else_is_not_taken(server: ClusterServer, cluster: Cluster) -> None:
    """A Service of that name without our labels stops everything before anything is applied."""
    theirs = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVER}, "spec": {"type": "ClusterIP"}}
    server.objects.put("services", theirs)
    error = failure(lambda: cluster.apply(wanted()))

    assert (error.code, server.objects.names()) == ("STATE_001", {f"services/{SERVER}"})
    assert "not made by this registry" in error.message


def test_what_is_being_deleted_is_not_applied(server: ClusterServer, cluster: Cluster) -> None:
    """An object on its way out would take the new deployment with it."""
    cluster.apply(wanted())
    server.objects.mark("deployments", SERVER)

    error = failure(lambda: cluster.apply(wanted(revision=2)))
    assert (error.code, "still being deleted" in error.message) == ("STATE_001", True)


def test_an_open_deployment_is_refused(server: ClusterServer, cluster: Cluster) -> None:
    """Everybody on this machine may call it: a cluster is not one machine."""
    assert failure(lambda: cluster.apply(wanted(auth=AuthMode.OPEN))).code == "VALID_002"
    assert server.asked == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("registy: {}", "registy"),
        ("- a", "holds list"),
        ("a: [", "cannot be read as YAML"),
        ("monitoring: {serviceMonitor: true}\nserving: {metricsOpen: true}", "ServiceMonitor"),
    ],
)
def test_an_operators_values_that_are_wrong(text: str, said: str, make: Callable[..., Cluster], tmp_path: Path) -> None:
    """The file and what is wrong with it are named."""
    values = tmp_path / "values.yaml"
    values.write_text(text)
    error = failure(lambda: make(values=values).apply(wanted()))

    assert error.code == "INIT_002"
    assert "values.yaml" in error.message
    assert said in error.message


def test_without_helm_it_is_said_what_to_install(
    server: ClusterServer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker without the packages of the target cannot render; the cluster is not asked anything."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    error = failure(lambda: cluster.apply(wanted()))

    assert error.code == "DEVICE_001"
    assert "deploy/locks/kubernetes.txt" in error.message
    assert server.asked == []


def test_what_is_not_gone_in_time_is_named(server: ClusterServer, cluster: Cluster) -> None:
    """Pods that do not end keep their Deployment; the error says what is left, and removing may be repeated."""
    cluster.apply(wanted())
    server.controllers.idle = True
    error = failure(lambda: cluster.remove("acme", "digits", seconds=0.0))
    assert (error.code, error.retryable, SERVER in error.message) == ("CLUSTER_001", True, True)

    server.controllers.collect("deployments", SERVER)
    cluster.remove("acme", "digits")
    assert server.objects.names() == set()


def test_whose_finalizer_holds_an_object_is_named(server: ClusterServer, cluster: Cluster) -> None:
    """A Service that some controller does not let go: who it is stands in the error."""
    cluster.apply(wanted())
    finalizers = ["service.kubernetes.io/load-balancer-cleanup"]
    server.objects.edit(
        "services", SERVER, manager="lb", change=lambda each: each["metadata"].update(finalizers=finalizers)
    )
    error = failure(lambda: cluster.remove("acme", "digits", seconds=0.0))

    assert f"Service/{SERVER} (finalizers: {finalizers[0]})" in error.message
