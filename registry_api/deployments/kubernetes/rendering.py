# SPDX-License-Identifier: Apache-2.0
"""From what is wanted of one deployment to its objects: one render of the chart ``deploy/helm/furoshiki``.

One deployment is one release of its own name, without registry and worker, so two deployments never share an object and every
selector finds the pods of one of them. What an operator decides for all of them (who may call, what pods may reach, node
selectors, pull secrets, Vault) is a file of values of the same chart. What the registry decides goes over it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from core.errors import ErrorCode, InitError, InvalidRequest, Unavailable
from registry_api.deployments.kubernetes import naming
from registry_api.deployments.kubernetes.kinds import ORDER
from registry_api.deployments.kubernetes.values import Wanted
from registry_api.deployments.values import AuthMode, Limits

CHART: Final = Path(__file__).resolve().parents[3] / "deploy" / "helm" / "furoshiki"
TRUST_SUFFIX: Final = "-trust"
Values = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderingOptions:
    """What every deployment has in common."""

    instance: str  # which registry this is, where several share a namespace
    namespace: str
    images: str  # prefix of repositories that the cluster pulls from, for example registry.example.com/models
    registry_url: str  # where pods check keys, from inside the cluster
    values: Path | None = None  # values of the chart, chosen by an operator
    timeout_seconds: float = 60.0


def render(wanted: Wanted, options: RenderingOptions) -> tuple[Values, ...]:
    """Every object of a deployment, in the order in which they are applied.

    Raises:
        InvalidRequest: ``VALID_002`` if an open deployment is wanted: a cluster is not one machine.
        InitError: ``INIT_002`` if the chart refuses the operator's values, or they want objects that are not applied.
        Unavailable: ``DEVICE_001`` if Helm is not installed.
    """
    if wanted.auth is AuthMode.OPEN:
        raise InvalidRequest(
            ErrorCode.INVALID_FIELD,
            "auth 'open' is for one machine; a deployment on Kubernetes checks keys: auth 'api_key'.",
            details={"field": "auth"},
        )
    release = naming.release_name(options.instance, wanted.tenant, wanted.name)
    found = _documents(release, _values(release, wanted, options), options)
    if wanted.trust is not None:
        found.append(_trust(release, wanted.tenant, wanted.trust))
    unknown = sorted({each["kind"] for each in found} - ORDER.keys())
    if unknown:
        raise InitError(
            ErrorCode.SETTING_INVALID,
            f"{options.values}: asks for {', '.join(unknown)}, which the registry does not apply. Make them beside it.",
        )
    for each in found:
        _label(each, release, wanted, options)
    return tuple(sorted(found, key=lambda each: (ORDER[each["kind"]], each["metadata"]["name"])))


def _values(release: str, wanted: Wanted, options: RenderingOptions) -> Values:
    server: Values = {
        "image": {"repository": f"{options.images}/{wanted.repository}", "digest": str(wanted.image)},
        "model": wanted.model,
        "source": "bundle",
        "auth": wanted.auth.value,
        "replicas": wanted.replicas,
        "resources": _resources(wanted.limits),
        "autoscaling": {"by": "none"},
    }
    if wanted.scaling is not None:
        scaling = wanted.scaling
        server["autoscaling"] = {"by": "hpa", "minReplicas": scaling.minimum, "maxReplicas": scaling.maximum}
    serving: Values = {"registryUrl": options.registry_url}
    if wanted.trust is not None:
        serving["trust"] = {"configMap": release + TRUST_SUFFIX}
    chosen = _merged(_operators(options.values), {"fullnameOverride": release, "serving": serving})
    return chosen | {"registry": {"enabled": False}, "deployments": {naming.SERVER: server}}


def _resources(limits: Limits) -> Values:
    most: Values = {}
    if limits.cpus is not None:
        most["cpu"] = f"{max(1, round(limits.cpus * 1000))}m"
    if limits.memory_bytes is not None:
        most["memory"] = str(limits.memory_bytes)
    return {"requests": dict(most), "limits": dict(most)}


def _operators(path: Path | None) -> Values:
    if path is None:
        return {}
    try:
        read = yaml.safe_load(path.read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise InitError(ErrorCode.SETTING_INVALID, f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(read, dict):
        raise InitError(
            ErrorCode.SETTING_INVALID, f"{path}: holds {type(read).__name__}; expected values of the chart."
        )
    return read


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> Values:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(old, value) if both else value  # type: ignore[arg-type] # both are mappings
    return merged


def _documents(release: str, values: Values, options: RenderingOptions) -> list[Values]:
    asked = {"chart": str(CHART), "release": release, "namespace": options.namespace, "values": values}
    answer = json.loads(_helm(json.dumps(asked), options.timeout_seconds))
    if "refused" in answer:
        where = options.values or "the chart's defaults"
        raise InitError(ErrorCode.SETTING_INVALID, f"The chart refuses the values of {where}: {answer['refused']}")
    texts = [text for name, text in answer["files"].items() if name.endswith(".yaml")]
    return [each for text in texts for each in yaml.safe_load_all(text) if each]


def _helm(asked: str, seconds: float) -> str:
    """What the child that renders answers."""
    try:
        child = subprocess.run(
            [sys.executable, "-m", "registry_api.deployments.kubernetes.helm"],
            cwd=CHART.parents[2],
            input=asked,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(
            ErrorCode.DEVICE_UNAVAILABLE,
            "Helm, which renders a deployment's objects, cannot be used. Install deploy/locks/kubernetes.txt.",
            log_context={"why": str(error), "stderr": str(getattr(error, "stderr", ""))[-2000:]},
        ) from error
    return child.stdout


def _trust(release: str, tenant: str, policy: str) -> Values:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": release + TRUST_SUFFIX},
        "data": {f"{tenant}.json": policy},
    }


def _label(found: Values, release: str, wanted: Wanted, options: RenderingOptions) -> None:
    lasting = {
        naming.MANAGED_BY: naming.MANAGER,
        naming.INSTANCE: naming.label_value(options.instance),
        naming.RELEASE: release,
        naming.TENANT: naming.label_value(wanted.tenant),
        naming.DEPLOYMENT: naming.label_value(wanted.name),
    }
    metadata = found["metadata"]
    metadata["namespace"] = options.namespace
    metadata.setdefault("labels", {}).update(lasting)
    metadata["labels"] |= {naming.REVISION: str(wanted.revision), naming.RUN: naming.label_value(wanted.run)}
    exact = {naming.TENANT: wanted.tenant, naming.DEPLOYMENT: wanted.name, naming.RUN: wanted.run}
    metadata.setdefault("annotations", {}).update(exact | {naming.REGISTRY: options.registry_url})
    if "template" in found.get("spec", {}):
        found["spec"]["template"]["metadata"]["labels"].update(lasting)
