# SPDX-License-Identifier: Apache-2.0
"""The objects of one deployment: what fits Kubernetes, what the chart's role covers, what keeps tenants apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from artifacts.digest import digest_bytes
from deploy.helm.rendering import profile
from deploy.helm.rendering import render as render_chart
from registry_api.deployments.kubernetes.kinds import ORDER
from registry_api.deployments.kubernetes.naming import INSTANCE, MANAGED_BY, RELEASE, TENANT, release_name
from registry_api.deployments.kubernetes.rendering import RenderingOptions, render
from registry_api.deployments.kubernetes.values import Scaling, Wanted
from registry_api.deployments.values import Limits

VERSIONS = ("1.28", "1.29", "1.30", "1.31", "1.32", "1.33")
WANTED = Wanted(
    tenant="acme",
    name="digits",
    model="digits@3",
    repository="acme/digits",
    image=digest_bytes(b"an image"),
    revision=4,
    run="run-4",
    scaling=Scaling(minimum=1, maximum=3),
    limits=Limits(cpus=0.25, memory_bytes=1 << 30),
    trust='{"keys": []}',
)
OPTIONS = RenderingOptions(
    instance="main", namespace="ml", images="registry.example.com/models", registry_url="https://registry.example.com"
)
Objects = tuple[dict[str, Any], ...]


@pytest.fixture(scope="module")
def objects() -> Objects:
    return render(WANTED, OPTIONS)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_fits_the_strict_schemas(version: str, objects: Objects) -> None:
    """Seven kinds, in the order in which they are applied."""
    for each in objects:
        kubernetes_validate.validate(each, version, strict=True)

    assert [each["kind"] for each in objects] == list(ORDER)


def test_every_object_says_whose_it_is(objects: Objects) -> None:
    """Registry, release and tenant are on each object and on the pods."""
    release = release_name("main", "acme", "digits")
    expected = {MANAGED_BY: "furoshiki-registry", INSTANCE: "main", RELEASE: release, TENANT: "acme"}
    (template,) = (each["spec"]["template"] for each in objects if each["kind"] == "Deployment")

    for each in (*objects, template):
        assert expected.items() <= each["metadata"]["labels"].items()
    assert {each["metadata"]["namespace"] for each in objects} == {"ml"}


def test_the_charts_registry_lets_these_pods_in(objects: Objects) -> None:
    """They check keys there: its network policy selects them by what they carry."""
    policies = [each for each in render_chart(profile("production")) if each["kind"] == "NetworkPolicy"]
    (registry,) = [each for each in policies if each["metadata"]["name"] == "furoshiki-registry"]
    (template,) = (each["spec"]["template"] for each in objects if each["kind"] == "Deployment")
    let_in = [
        each["podSelector"]["matchLabels"]
        for each in registry["spec"]["ingress"][0]["from"]
        if each.get("namespaceSelector", {}).get("matchLabels") == {"kubernetes.io/metadata.name": "models"}
    ]

    assert [each.items() <= template["metadata"]["labels"].items() for each in let_in] == [True]


def test_what_is_set_reaches_the_pod(objects: Objects) -> None:
    """Image by digest, limits that are promised too, the registry, and the tenant's trust policy as a file."""
    (spec,) = (each["spec"]["template"]["spec"] for each in objects if each["kind"] == "Deployment")
    (policy,) = (each for each in objects if each["kind"] == "ConfigMap")
    container = spec["containers"][0]
    environment = {each["name"]: each["value"] for each in container["env"]}

    assert container["image"] == f"registry.example.com/models/acme/digits@{WANTED.image}"
    assert container["resources"] == {each: {"cpu": "250m", "memory": "1073741824"} for each in ("limits", "requests")}
    assert environment["FUROSHIKI_REGISTRY__URL"] == "https://registry.example.com"
    assert environment["FUROSHIKI_AUTH__MODE"] == "api_key"
    assert environment["FUROSHIKI_TRUST__DIR"] == "/etc/furoshiki/trust"
    assert {"name": "trust", "configMap": {"name": policy["metadata"]["name"]}} in spec["volumes"]
    assert policy["data"] == {"acme.json": '{"keys": []}'}


def test_an_operator_decides_the_rest(tmp_path: Path) -> None:
    """Who may call and where pods go come from his file; deployments and a registry in it are not ours to make."""
    values = tmp_path / "values.yaml"
    values.write_text(
        "networkPolicy: {clients: [{namespaceSelector: {matchLabels: {team: web}}}]}\n"
        "serving: {registryUrl: 'http://other', defaults: {nodeSelector: {pool: models}}}\n"
        "registry: {enabled: true}\n"
        "deployments: {stranger: {}}\n"
    )
    found = render(WANTED, replace(OPTIONS, values=values))
    by_name = {(each["kind"], each["metadata"]["name"]): each["spec"] for each in found if "spec" in each}
    server = f"{release_name('main', 'acme', 'digits')}-model"
    pod = by_name["Deployment", server]["template"]["spec"]

    assert pod["nodeSelector"] == {"pool": "models"}
    assert {"name": "FUROSHIKI_REGISTRY__URL", "value": "https://registry.example.com"} in pod["containers"][0]["env"]
    assert by_name["NetworkPolicy", server]["ingress"][0]["from"] == [
        {"namespaceSelector": {"matchLabels": {"team": "web"}}}
    ]
    assert sum(each["kind"] == "Deployment" for each in found) == 1


def test_two_deployments_share_nothing(objects: Objects) -> None:
    """Another tenant's deployment of the same name has other objects, and no selector of one finds a pod of the other."""
    other = render(replace(WANTED, tenant="globex"), OPTIONS)
    (pod,) = (each["spec"]["template"]["metadata"]["labels"] for each in other if each["kind"] == "Deployment")
    chosen = [each["spec"].get("podSelector", each["spec"].get("selector", {})) for each in objects if "spec" in each]
    labels = [each.get("matchLabels", each) for each in chosen if each]

    assert not {each["metadata"]["name"] for each in objects} & {each["metadata"]["name"] for each in other}
    assert labels
    assert not any(each.items() <= pod.items() for each in labels)
    default = next(each for each in objects if each["kind"] == "NetworkPolicy")["spec"]
    assert default["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in default
