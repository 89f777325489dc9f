# SPDX-License-Identifier: Apache-2.0
"""The chart's role grants what the target calls, and nothing else."""

from __future__ import annotations

from deploy.helm.rendering import profile
from deploy.helm.rendering import render as render_chart
from registry_api.deployments.kubernetes.cluster import Cluster
from registry_api.deployments.kubernetes.testing import Asked, ClusterServer
from registry_api.deployments.kubernetes.testing.controllers import waiting
from registry_api.deployments.kubernetes.values import Scaling
from tests.integration.registry_api.deployments.kubernetes.test_bad_clusters import failure
from tests.integration.registry_api.deployments.kubernetes.wanting import wanted

Right = tuple[str, str, str]  # group, resource, verb
VERBS = {"GET": "get", "PATCH": "patch", "DELETE": "delete"}


def rights_for(asked: Asked) -> set[Right]:
    """What RBAC asks for; server-side apply may make the object, and then needs both verbs."""
    resource = f"{asked.plural}/log" if asked.log else asked.plural
    if asked.name is None:
        verb = "watch" if asked.query.get("watch") == "true" else "list"
        return {(asked.group, resource, verb)}
    verbs = {VERBS[asked.method]} | ({"create"} if asked.method == "PATCH" else set())
    return {(asked.group, resource, verb) for verb in verbs}


def test_the_role_grants_what_is_called(server: ClusterServer, cluster: Cluster) -> None:
    """Everything that jobs and the watch ask of a cluster, held against the rules; no rule is left over."""
    server.controllers.pod = waiting("ContainerCreating")
    cluster.apply(wanted(trust="{}", scaling=Scaling(minimum=1, maximum=2)))
    failure(lambda: cluster.until_ready("acme", "digits", seconds=0.5))
    (pod,) = cluster.pods("acme", "digits")
    cluster.printed(pod.name, since=None, limit=10)
    cluster.drift(wanted(trust="{}"))
    assert [each.name for each in cluster.managed()] == ["digits"]
    cluster.remove("acme", "digits")

    called = {right for asked in server.asked for right in rights_for(asked)}
    (role,) = [each for each in render_chart(profile("production")) if each["kind"] == "Role"]
    granted = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert granted == called
