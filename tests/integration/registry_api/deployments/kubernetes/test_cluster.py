# SPDX-License-Identifier: Apache-2.0
"""One deployment in a cluster: applied, followed, scaled, compared, read, removed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from artifacts.digest import digest_bytes
from core.errors import FuroshikiError
from registry_api.deployments.kubernetes.cluster import Cluster
from registry_api.deployments.kubernetes.testing import Asked, ClusterServer, Refused
from registry_api.deployments.kubernetes.values import Difference, Managed, Scaling, Status, Wanted
from registry_api.deployments.values import Limits
from tests.integration.registry_api.deployments.kubernetes.wanting import RELEASE, SERVER, wanted

NAMES = {
    f"serviceaccounts/{RELEASE}-serving",
    f"networkpolicies/{RELEASE}-default",
    f"services/{SERVER}",
    f"deployments/{SERVER}",
}


def kinds(server: ClusterServer) -> set[str]:
    return {each for each in server.objects.names() if not each.startswith("pods/")}


def test_a_deployment_is_applied_and_becomes_ready(server: ClusterServer, cluster: Cluster) -> None:
    """Every object fits the schemas of 1.28 to 1.33; the pods are ready, and the address is that of the Service."""
    cluster.apply(wanted(replicas=2, trust="{}", limits=Limits(cpus=0.5, memory_bytes=1 << 30)))
    status = cluster.until_ready("acme", "digits", seconds=5)

    assert kinds(server) == NAMES | {f"configmaps/{RELEASE}-trust", f"poddisruptionbudgets/{SERVER}"}
    assert status == Status(found=True, observed=True, wanted=2, updated=2, ready=2, url=f"http://{SERVER}.ml.svc:3000")
    container = deployed(server)["template"]["spec"]["containers"][0]
    assert container["image"] == f"registry.example.com/models/acme/digits@{digest_bytes(b'an image')}"
    assert container["resources"]["limits"] == {"cpu": "500m", "memory": str(1 << 30)}


def deployed(server: ClusterServer) -> dict[str, Any]:
    found = server.objects.get("deployments", SERVER)
    assert found is not None
    spec: dict[str, Any] = found["spec"]
    return spec


def test_applying_twice_changes_nothing(server: ClusterServer, cluster: Cluster) -> None:
    """The second time no object has another generation, and nothing has drifted."""
    cluster.apply(wanted())
    before = {each["metadata"]["name"]: each["metadata"]["generation"] for each in server.objects.every("deployments")}
    cluster.apply(wanted())

    after = {each["metadata"]["name"]: each["metadata"]["generation"] for each in server.objects.every("deployments")}
    assert after == before
    assert cluster.drift(wanted()) == ()


def test_another_start_alone_replaces_no_pod(server: ClusterServer, cluster: Cluster) -> None:
    """Revision and run stand on the objects, not in the pod template; another image is in the template."""
    cluster.apply(wanted())
    first = deployed(server)["template"]
    cluster.apply(wanted(revision=2, run="run-2"))
    second = deployed(server)["template"]
    cluster.apply(wanted(revision=3, image=digest_bytes(b"another")))

    assert first == second
    assert deployed(server)["template"] != first
    assert [each.revision for each in cluster.managed()] == [3]


def test_what_is_no_longer_wanted_goes(server: ClusterServer, cluster: Cluster) -> None:
    """An autoscaler comes and leaves the number of pods to itself; without it, it and its budget are gone."""
    cluster.apply(wanted(scaling=Scaling(minimum=1, maximum=4)))
    assert "replicas" not in deployed(server)
    assert {f"horizontalpodautoscalers/{SERVER}", f"poddisruptionbudgets/{SERVER}"} <= kinds(server)

    cluster.apply(wanted())

    assert kinds(server) == NAMES
    assert deployed(server)["replicas"] == 1


def test_what_an_autoscaler_writes_is_no_drift(server: ClusterServer, cluster: Cluster) -> None:
    """Fields that are not ours are nobody's drift, and applying again leaves them."""
    asked = wanted(scaling=Scaling(minimum=1, maximum=4))
    cluster.apply(asked)
    server.objects.edit("deployments", SERVER, manager="hpa", change=lambda each: each["spec"].update(replicas=3))

    assert cluster.drift(asked) == ()
    cluster.apply(asked)
    assert deployed(server)["replicas"] == 3


def test_drift_names_the_fields(server: ClusterServer, cluster: Cluster) -> None:
    """A field that somebody changed, an object he deleted, and one that should not be there."""
    cluster.apply(wanted(replicas=2))
    server.objects.edit(
        "deployments", SERVER, manager="kubectl-edit", change=lambda each: each["spec"].update(replicas=5)
    )
    server.objects.drop("services", SERVER)

    assert set(cluster.drift(wanted(replicas=1))) == {
        Difference(thing=f"Deployment/{SERVER}", field="spec.replicas", wanted="1", found="5"),
        Difference(thing=f"Service/{SERVER}", field="", wanted="present", found=""),
        Difference(thing=f"PodDisruptionBudget/{SERVER}", field="", wanted="", found="present"),
    }
    assert server.objects.get("services", SERVER) is None


def test_removing_takes_only_what_is_ours(
    server: ClusterServer, cluster: Cluster, make: Callable[..., Cluster]
) -> None:
    """Another deployment, another tenant's, another registry's and somebody's own objects stay."""
    neighbours = [wanted(name="wine"), wanted(tenant="globex")]
    elsewhere = make(instance="other")
    for each in (wanted(), *neighbours):
        cluster.apply(each)
    elsewhere.apply(wanted())
    server.objects.put("services", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"{RELEASE}-mine"}})

    cluster.remove("acme", "digits")
    cluster.remove("acme", "digits")

    assert [(each.tenant, each.name) for each in cluster.managed()] == [
        (each.tenant, each.name) for each in sorted(neighbours, key=lambda each: (each.tenant, each.name))
    ]
    assert [(each.tenant, each.name) for each in elsewhere.managed()] == [("acme", "digits")]
    assert server.objects.get("services", f"{RELEASE}-mine") is not None
    assert cluster.status("acme", "digits") == Status(found=False)


def test_removal_waits_for_pods(server: ClusterServer, make: Callable[..., Cluster]) -> None:
    """A Deployment in foreground deletion is there until its pods are gone, and is not deleted twice."""

    def pause(_: float) -> None:
        server.controllers.collect("deployments", SERVER)

    cluster = make(pause=pause)
    cluster.apply(wanted())
    server.controllers.idle = True
    cluster.remove("acme", "digits")

    deletions = [each for each in server.asked if each.method == "DELETE" and each.plural == "deployments"]
    assert len(deletions) == 1
    assert deletions[0].body["propagationPolicy"] == "Foreground"
    assert server.objects.names() == set()


def test_everything_managed_is_found(server: ClusterServer, cluster: Cluster) -> None:
    """What a new worker adopts, page by page; what has lost its Deployment is an orphan."""
    server.page = 1
    cluster.apply(wanted())
    cluster.apply(wanted(name="wine", revision=7))
    server.objects.drop("deployments", SERVER)
    found = {each.name: each for each in cluster.managed()}

    assert found["wine"].revision == 7
    assert any(each.startswith("Deployment/") for each in found["wine"].objects)
    assert found["digits"] == Managed(
        release=RELEASE,
        registry="https://registry.example.com",
        tenant="acme",
        name="digits",
        revision=1,
        run="run-1",
        objects=(f"Service/{SERVER}", f"NetworkPolicy/{RELEASE}-default", f"ServiceAccount/{RELEASE}-serving"),
    )


def test_a_list_that_expires_is_begun_anew(server: ClusterServer, cluster: Cluster) -> None:
    """The second page is too old (410): nothing is missed, and nothing found twice."""
    cluster.apply(wanted())
    cluster.apply(wanted(name="wine"))
    server.page = 1
    expired: list[Asked] = []
    check = server.before

    def before(asked: Asked) -> None:
        check(asked)
        if "continue" in asked.query and not expired:
            expired.append(asked)
            server.objects.set_status("deployments", SERVER, {})
            server.objects.forget()

    server.before = before
    found = {each.name: len(each.objects) for each in cluster.managed()}

    assert expired
    assert found == {"digits": 4, "wine": 4}


def test_somebodys_copy_is_his(server: ClusterServer, cluster: Cluster) -> None:
    """An object with all labels of ours under a name of its own: neither drift, nor an orphan, nor removed."""
    cluster.apply(wanted())
    copied = server.objects.get("deployments", SERVER)
    assert copied is not None
    labels = copied["metadata"]["labels"]
    copy = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "debug", "labels": labels}}
    server.objects.put("deployments", {**copy, "spec": copied["spec"]})

    assert cluster.drift(wanted()) == ()
    cluster.apply(wanted(revision=2))
    cluster.remove("acme", "digits")
    assert cluster.managed() == ()
    assert server.objects.get("deployments", "debug") is not None


def test_labels_that_somebody_edited_break_nothing(server: ClusterServer, cluster: Cluster) -> None:
    """A revision that is no number and a tenant that is gone are read as unknown; the release is still known."""
    cluster.apply(wanted())

    def change(each: dict[str, Any]) -> None:
        each["metadata"]["labels"]["furoshiki.dev/revision"] = "one"
        each["metadata"]["annotations"].pop("furoshiki.dev/tenant")

    server.objects.edit("deployments", SERVER, manager="kubectl-edit", change=change)
    server.objects.edit("services", SERVER, manager="kubectl-edit", change=change)
    (found,) = cluster.managed()
    assert (found.release, found.tenant, found.revision) == (RELEASE, "", 0)


def test_what_was_replaced_meanwhile_is_not_deleted(server: ClusterServer, cluster: Cluster) -> None:
    """A deletion names the uid that was seen: of another object with that name it is no error, and no deletion."""
    cluster.apply(wanted())
    check = server.before
    replaced: list[dict[str, Any]] = []

    def before(asked: Asked) -> None:
        check(asked)
        if asked.method == "DELETE" and asked.plural == "services" and not replaced:
            found = server.objects.get("services", SERVER)
            assert found is not None
            replaced.append(found)
            server.objects.drop("services", SERVER)
            plain = {
                "name": SERVER,
                "labels": found["metadata"]["labels"],
                "annotations": {"furoshiki.dev/run": "run-2"},
            }
            server.objects.put("services", {**found, "metadata": plain})

    server.before = before
    cluster.remove("acme", "digits", run="run-1")

    assert kinds(server) == {f"services/{SERVER}"}


def test_a_refused_object_leaves_nothing_behind(server: ClusterServer, cluster: Cluster) -> None:
    """Refused early or late in the first deployment, dry or not, nothing of it is in the cluster."""
    check = server.before
    for dry, step in ((True, 0), (True, 3), (False, 1), (False, 3)):
        server.before = refuse_at(check, step, dry=dry)
        assert refused(cluster, wanted()).code == "CLUSTER_003"
        assert server.objects.names() == set()

    server.before = check
    cluster.apply(wanted())
    assert kinds(server) == NAMES


def test_a_refused_change_leaves_the_old_one(server: ClusterServer, cluster: Cluster) -> None:
    """Refused early, late or at the end of an update, every field is what it was, and what was new is gone."""
    cluster.apply(wanted())
    before, check = shown(server), server.before
    for step in (1, 4, 6):
        server.before = refuse_at(check, step, dry=False)
        asked = wanted(
            revision=2, run="run-2", image=digest_bytes(b"another"), trust="{}", scaling=Scaling(minimum=2, maximum=3)
        )
        assert refused(cluster, asked).code == "CLUSTER_003"
        assert shown(server) == before

    server.before = check
    assert cluster.drift(wanted()) == ()


def test_what_cannot_be_undone_is_named(server: ClusterServer, cluster: Cluster) -> None:
    """The API goes away in the middle: the error says which objects are left, and applying again completes them."""
    check = server.before
    armed = refuse_at(check, 2, dry=False)

    def before(asked: Asked) -> None:
        if asked.method == "DELETE":
            raise ConnectionError
        armed(asked)

    server.before = before
    error = refused(cluster, wanted())
    assert error.details["left"] == [f"NetworkPolicy/{RELEASE}-default", f"ServiceAccount/{RELEASE}-serving"]

    server.before = check
    cluster.apply(wanted())
    assert kinds(server) == NAMES


def refuse_at(check: Callable[[Asked], None], step: int, *, dry: bool) -> Callable[[Asked], None]:
    """Refuses one of the applied objects, counted from 0; once."""
    seen = iter(range(1000))

    def before(asked: Asked) -> None:
        check(asked)
        if asked.method == "PATCH" and asked.dry is dry and next(seen) == step:
            raise Refused(422, "admission webhook denied the request")

    return before


def refused(cluster: Cluster, asked: Wanted) -> FuroshikiError:
    try:
        cluster.apply(asked)
    except FuroshikiError as error:
        return error
    raise AssertionError("it was applied")


def shown(server: ClusterServer) -> dict[str, Any]:
    """What is in the cluster, but for versions and pods."""
    ours = ("serviceaccounts", "configmaps", "networkpolicies", "services", "deployments", "poddisruptionbudgets")
    found = [each for plural in (*ours, "horizontalpodautoscalers") for each in server.objects.every(plural)]
    for each in found:
        for key in ("resourceVersion", "generation", "managedFields"):
            each["metadata"].pop(key, None)
        each.pop("status", None)
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in found}
