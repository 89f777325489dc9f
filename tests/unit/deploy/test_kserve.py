# SPDX-License-Identifier: Apache-2.0
"""KServe's runtime is a pod that Kubernetes accepts, as closed as those of the chart, and the service finds it."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.unit.deploy.manifests import DEPLOY


@pytest.fixture(scope="module")
def runtime() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "kserve" / "serving-runtime.yaml").read_text())
    return found


def test_its_pod_is_accepted(runtime: dict[str, Any]) -> None:
    """Containers and volumes of the runtime make a pod that fits Kubernetes' schemas."""
    spec = {name: runtime["spec"][name] for name in ("containers", "volumes")}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "digits"}, "spec": spec}

    for version in ("1.28", "1.33"):
        kubernetes_validate.validate(pod, version, strict=True)


def test_it_is_what_kserve_looks_for(runtime: dict[str, Any]) -> None:
    """The container's name, the protocol and the model format are those that KServe joins a service and a runtime by."""
    service = yaml.safe_load((DEPLOY / "kserve" / "inference-service.yaml").read_text())
    model = service["spec"]["predictor"]["model"]
    container = runtime["spec"]["containers"][0]
    variables = {each["name"]: each["value"] for each in container["env"]}

    assert container["name"] == "kserve-container"
    assert model["runtime"] == runtime["metadata"]["name"]
    assert model["modelFormat"] in [
        {"name": each["name"], "version": each["version"]} for each in runtime["spec"]["supportedModelFormats"]
    ]
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]
    assert variables["FUROSHIKI_BUNDLE__PATH"] == "/mnt/models"  # where KServe's storage initializer puts the model
    assert variables["BENTOML_PORT"] == str(container["ports"][0]["containerPort"])


def test_it_is_closed(runtime: dict[str, Any]) -> None:
    """The restricted standard, and an image by digest."""
    container = runtime["spec"]["containers"][0]
    security = container["securityContext"]

    assert "@sha256:" in container["image"]
    assert security["readOnlyRootFilesystem"] is True
    assert security["runAsNonRoot"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
