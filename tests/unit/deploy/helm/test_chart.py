# SPDX-License-Identifier: Apache-2.0
"""The chart's manifests: golden files, Kubernetes' schemas, the restricted pod security standard, names that must agree."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml

from deploy.helm.__main__ import generated
from deploy.helm.rendering import CHART, NAMESPACE, PROFILES, profile, render

VERSIONS = ("1.28", "1.29", "1.30", "1.31", "1.32", "1.33")
FOREIGN = {"keda.sh", "monitoring.coreos.com"}  # operators' own kinds: no schema of Kubernetes has them
IMAGE = re.compile(r"[a-z0-9./:-]+@sha256:[0-9a-f]{64}")
Document = dict[str, Any]


@pytest.fixture(scope="module")
def rendered() -> dict[str, list[Document]]:
    return {name: render(profile(name)) for name in PROFILES}


def pods(documents: list[Document]) -> Iterator[tuple[str, Document]]:
    for each in documents:
        if each["kind"] in ("Deployment", "Job"):
            yield each["metadata"]["name"], each["spec"]["template"]


def containers(pod: Document) -> list[Document]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def test_generated_files_are_current() -> None:
    """README and golden files are what `make charts` would write."""
    stale = [path.name for path, make in generated().items() if not path.is_file() or path.read_text() != make()]

    assert stale == []


@pytest.mark.parametrize("name", PROFILES)
def test_lint_finds_nothing(name: str) -> None:
    """`helm lint --strict` has no warning and no error."""
    report = helm_python.lint(CHART, profile(name), strict=True)

    assert [each for each in report["messages"] if each["severity"] > 1] == []
    assert report["errors"] == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", PROFILES)
def test_kubernetes_accepts_it(name: str, version: str, rendered: dict[str, list[Document]]) -> None:
    """Every document fits the schema of each supported Kubernetes, with no property too many."""
    own = [each for each in rendered[name] if each["apiVersion"].partition("/")[0] not in FOREIGN]

    for document in own:
        kubernetes_validate.validate(document, version, strict=True)

    assert own


def test_operators_kinds_are_made_where_asked_for(rendered: dict[str, list[Document]]) -> None:
    """ServiceMonitors, a PrometheusRule and a ScaledObject exist in production only."""
    foreign = {
        name: sorted(each["kind"] for each in documents if each["apiVersion"].partition("/")[0] in FOREIGN)
        for name, documents in rendered.items()
    }

    assert foreign == {
        "dev": [],
        "edge": [],
        "production": ["PrometheusRule", "ScaledObject", *["ServiceMonitor"] * 5],
    }


@pytest.mark.parametrize("name", PROFILES)
def test_pods_are_restricted(name: str, rendered: dict[str, list[Document]]) -> None:
    """No root, no writable root file system, no capability, no escalation, the runtime's seccomp profile, no host."""
    for _, pod in pods(rendered[name]):
        assert pod["spec"]["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "fsGroup": 65532,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod["spec"].keys()
        assert not [each for each in pod["spec"]["volumes"] if "hostPath" in each]
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "runAsNonRoot": True,
                "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            }


@pytest.mark.parametrize("name", PROFILES)
def test_images_are_named_by_digest(name: str, rendered: dict[str, list[Document]]) -> None:
    """No container runs a tag."""
    images = [container["image"] for _, pod in pods(rendered[name]) for container in containers(pod)]

    assert images
    assert [image for image in images if not IMAGE.fullmatch(image)] == []


@pytest.mark.parametrize("name", PROFILES)
def test_what_is_mounted_exists(name: str, rendered: dict[str, list[Document]]) -> None:
    """Every mount has its volume and every volume a mount; every pod has its service account, every claim its object."""
    names = {(each["kind"], each["metadata"]["name"]) for each in rendered[name]}
    for _, pod in pods(rendered[name]):
        spec = pod["spec"]
        mounts = {mount["name"] for container in containers(pod) for mount in container["volumeMounts"]}
        claims = {
            each["persistentVolumeClaim"]["claimName"] for each in spec["volumes"] if "persistentVolumeClaim" in each
        }
        assert mounts == {volume["name"] for volume in spec["volumes"]}
        assert ("ServiceAccount", spec["serviceAccountName"]) in names
        assert {("PersistentVolumeClaim", claim) for claim in claims} <= names


@pytest.mark.parametrize("name", PROFILES)
def test_selectors_find_one_component_each(name: str, rendered: dict[str, list[Document]]) -> None:
    """Services, budgets and policies select pods that exist, and no service two components."""
    labels = [pod["metadata"]["labels"] for _, pod in pods(rendered[name])]
    for each in rendered[name]:
        selector = {
            "Service": lambda spec: spec["selector"],
            "PodDisruptionBudget": lambda spec: spec["selector"]["matchLabels"],
            "NetworkPolicy": lambda spec: spec["podSelector"]["matchLabels"],
        }.get(each["kind"])
        if selector is None:
            continue
        found = [own for own in labels if selector(each["spec"]).items() <= own.items()]
        assert found, each["metadata"]["name"]
        if each["kind"] == "Service":
            assert len(found) == 1


@pytest.mark.parametrize("name", PROFILES)
def test_ports_have_names_that_exist(name: str, rendered: dict[str, list[Document]]) -> None:
    """Services and probes point at ports that the container declares."""
    for _, pod in pods(rendered[name]):
        for container in containers(pod):
            ports = {port["name"] for port in container.get("ports", [])}
            probes = {key: container[key] for key in container if key.endswith("Probe")}
            assert {probe["httpGet"]["port"] for probe in probes.values()} <= ports
            assert bool(probes) == bool(ports)


def test_only_the_worker_may_ask_the_cluster(rendered: dict[str, list[Document]]) -> None:
    """One role, bound to one account; no other pod carries the token of its account."""
    production = rendered["production"]
    roles = [each for each in production if each["kind"] in ("Role", "ClusterRole")]
    with_token = [name for name, pod in pods(production) if pod["spec"]["automountServiceAccountToken"]]

    assert [role["kind"] for role in roles] == ["Role"]
    assert with_token == ["furoshiki-worker"]
    assert not any("secrets" in rule["resources"] for role in roles for rule in role["rules"])
    assert [each for name in ("dev", "edge") for each in rendered[name] if each["kind"] == "Role"] == []


def test_deployments_have_a_namespace_of_their_own(rendered: dict[str, list[Document]]) -> None:
    """The worker's rights are there and nowhere else, it is told of it, and the registry lets those pods in."""
    by_name = {(each["kind"], each["metadata"]["name"]): each for each in rendered["production"]}
    role, binding = by_name["Role", "furoshiki-worker"], by_name["RoleBinding", "furoshiki-worker"]
    worker = by_name["Deployment", "furoshiki-worker"]["spec"]["template"]["spec"]["containers"][0]

    assert [each["metadata"]["namespace"] for each in (role, binding)] == ["models"] * 2
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "furoshiki-worker", "namespace": NAMESPACE}]
    assert {"name": "FUROSHIKI_KUBERNETES__NAMESPACE", "value": "models"} in worker["env"]
    callers = by_name["NetworkPolicy", "furoshiki-registry"]["spec"]["ingress"][0]["from"]
    assert {"kubernetes.io/metadata.name": "models"} in [
        each["namespaceSelector"]["matchLabels"] for each in callers if "namespaceSelector" in each
    ]


def test_values_for_every_deployment_are_values_of_the_chart(rendered: dict[str, list[Document]]) -> None:
    """What an operator decides for them is a file in the worker's pod, and this chart renders with it."""
    by_name = {(each["kind"], each["metadata"]["name"]): each for each in rendered["production"]}
    written = yaml.safe_load(by_name["ConfigMap", "furoshiki-worker-deployments"]["data"]["values.yaml"])
    worker = by_name["Deployment", "furoshiki-worker"]["spec"]["template"]["spec"]["containers"][0]
    env = {each["name"]: each["value"] for each in worker["env"]}
    folders = {each["mountPath"] for each in worker["volumeMounts"]}

    assert written == profile("production")["worker"]["deploymentValues"]
    assert env["FUROSHIKI_KUBERNETES__VALUES"].rpartition("/")[0] in folders
    assert render({**profile("edge"), **written})


def test_no_secret_is_in_a_manifest(rendered: dict[str, list[Document]]) -> None:
    """What opens a database, a bucket or Redis is a reference, and the chart makes no Secret."""
    secret = re.compile(r"(DATABASE__(OWNER_)?URL|ACCESS_KEY|SECRET_KEY|REDIS__URL|TOKEN)$")
    for documents in rendered.values():
        assert [each for each in documents if each["kind"] == "Secret"] == []
        for _, pod in pods(documents):
            for container in containers(pod):
                for variable in container["env"]:
                    if secret.search(variable["name"]):
                        assert variable["value"].startswith(("file:///", "vault://")), variable


def test_migrations_run_around_the_release(rendered: dict[str, list[Document]]) -> None:
    """Phase pre before an installation or upgrade, phase post after an upgrade; neither needs an object of the release."""
    jobs = {each["metadata"]["name"]: each for each in rendered["production"] if each["kind"] == "Job"}
    hooks = {name: job["metadata"]["annotations"]["helm.sh/hook"] for name, job in jobs.items()}
    phases = {name: job["spec"]["template"]["spec"]["containers"][0]["args"] for name, job in jobs.items()}
    volumes = [each for job in jobs.values() for each in job["spec"]["template"]["spec"]["volumes"]]

    assert hooks == {
        "furoshiki-migrate-post": "post-upgrade",
        "furoshiki-migrate-pre": "pre-install,pre-upgrade",
    }
    assert phases["furoshiki-migrate-pre"] == ["migrate", "--phase", "pre"]
    assert phases["furoshiki-migrate-post"] == ["migrate", "--phase", "post"]
    assert [each for each in volumes if "persistentVolumeClaim" in each or "configMap" in each] == []


def test_a_gpu_is_asked_for_and_tolerated() -> None:
    """A deployment with GPUs limits them, tolerates their taint and is replaced, not doubled, at an update."""
    values = profile("edge")
    values["deployments"]["digits"]["gpu"] = {"count": 2}
    values["deployments"]["digits"]["spot"] = True
    deployment = next(each for each in render(values) if each["kind"] == "Deployment")
    spec = deployment["spec"]["template"]["spec"]

    assert spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert [each["key"] for each in spec["tolerations"]] == ["nvidia.com/gpu", "karpenter.sh/capacity-type"]
    assert "preferredDuringSchedulingIgnoredDuringExecution" in spec["affinity"]["nodeAffinity"]
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 1, "maxSurge": 0}


def test_a_deployment_scales_by_queue_and_cpu(rendered: dict[str, list[Document]]) -> None:
    """An autoscaler asks for rows that wait and for CPU, and the deployment it scales leaves the number of pods to it."""
    by_name = {(each["kind"], each["metadata"]["name"]): each for each in rendered["production"]}
    scaler = by_name["HorizontalPodAutoscaler", "furoshiki-digits"]["spec"]

    assert [metric["type"] for metric in scaler["metrics"]] == ["Pods", "Resource"]
    assert scaler["metrics"][0]["pods"]["metric"]["name"] == "furoshiki_queue_rows"
    assert "replicas" not in by_name["Deployment", "furoshiki-digits"]["spec"]
    assert "replicas" not in by_name["Deployment", "furoshiki-minilm"]["spec"]
    assert by_name["Deployment", "furoshiki-batch"]["spec"]["replicas"] == 1


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"registy": {}}, "registy"),
        ({"image": {"digest": "latest"}}, "/image/digest"),
        ({"database": {"url": "postgresql+asyncpg://app:secret@db/f"}}, "/database/url"),
        ({"redis": {"url": "env://REDIS_URL"}}, "/redis/url"),  # no such variable is in a pod
        ({"store": {"url": "/data"}}, "/store/url"),
        ({"deployments": {"Digits": {"image": {}, "model": "m"}}}, "Digits"),
        ({"deployments": {"worker": {"image": {}, "model": "m"}}}, "worker"),
        ({"deployments": {"digits": {"model": "m"}}}, "image"),
        ({"registry": {"env": {"PATH": "/"}}}, "PATH"),
        ({"worker": {"slots": 0}}, "/worker/slots"),
    ],
)
def test_the_schema_refuses_what_is_wrong(change: dict[str, Any], where: str) -> None:
    """A misspelt name, a tag, a secret, a wrong number: the message says where."""
    with pytest.raises(helm_python.HelmValuesError, match=re.escape(where)):
        render({**profile("dev"), **change})


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("dev", {"image": {}}, "image.repository and image.digest"),
        ("dev", {"database": {"url": "vault://a/b#c"}}, "registry.embedded"),
        ("dev", {"registry": {}}, "database.url and store.url"),
        ("dev", {"worker": {"manageDeployments": True}}, "worker.manageDeployments"),
        ("dev", {"persistence": {"enabled": False}}, "signing keys would be lost"),
        ("dev", {"serving": {}}, "serving.keySecret"),
        ("production", {"persistence": {"accessModes": ["ReadWriteOnce"]}}, "ReadWriteMany"),
        ("production", {"persistence": {"enabled": False}}, "several registries"),
        ("production", {"secrets": {}}, "secrets.vault.address"),
        ("production", {"secrets": {"vault": {"address": "https://v"}}}, "secrets.vault.role"),
        ("production", {"keda": {}}, "keda.prometheusAddress"),
        ("production", {"serving": {"keySecret": "k"}}, "serving.metricsOpen"),
        ("edge", {"serving": {"defaults": {"auth": "api_key"}}, "deployments": "without auth"}, "serving.registryUrl"),
    ],
)
def test_values_that_do_not_fit_together_are_refused(name: str, change: dict[str, Any], said: str) -> None:
    """What one value cannot know of another stops the rendering with a sentence."""
    values = {**profile(name), **change}
    if values["deployments"] == "without auth":
        values["deployments"] = profile(name)["deployments"]
        del values["deployments"]["digits"]["auth"]

    with pytest.raises(helm_python.HelmRenderError, match=re.escape(said)):
        render(values)


def test_every_object_of_the_schema_is_closed() -> None:
    """Where the schema names properties it allows no others."""
    open_ones = [
        path
        for path, each in walk(json.loads((CHART / "values.schema.json").read_text()), "")
        if "properties" in each and each.get("additionalProperties") is not False
    ]

    assert open_ones == []


def walk(schema: Any, path: str) -> Iterator[tuple[str, Document]]:
    if isinstance(schema, dict):
        if "type" in schema and not isinstance(schema["type"], dict):
            yield path, schema
        for key, value in schema.items():
            yield from walk(value, f"{path}/{key}")
