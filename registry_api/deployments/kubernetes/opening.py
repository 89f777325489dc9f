# SPDX-License-Identifier: Apache-2.0
"""From a worker's settings to its cluster, or why it has none. Nothing is asked of the cluster here."""

from __future__ import annotations

from importlib.util import find_spec

from core.clock import Clock
from registry_api.deployments.kubernetes.cluster import Cluster, ClusterOptions
from registry_api.deployments.kubernetes.connecting import ApiOptions
from registry_api.deployments.kubernetes.rendering import CHART, RenderingOptions
from registry_api.settings.worker import KubernetesSettings

_PACKAGES = ("kubernetes", "helm_python")


def missing(settings: KubernetesSettings) -> str | None:
    """Why this worker cannot deploy to Kubernetes, and what to do; None if it can."""
    for field in ("namespace", "images"):
        if getattr(settings, field) is None:
            return f"FUROSHIKI_KUBERNETES__{field.upper()} is not set; see docs/how-to/deploy-on-kubernetes.md"
    absent = [name for name in _PACKAGES if find_spec(name) is None]
    if absent:
        return f"{', '.join(absent)}: not installed; install deploy/locks/kubernetes.txt"
    if not (CHART / "Chart.yaml").is_file():
        return f"{CHART}: the chart is not there; it comes with a checkout and with the registry's image"
    return None


def opened(settings: KubernetesSettings, clock: Clock, *, registry_url: str) -> Cluster:
    """The cluster of these settings, which lack nothing (see :func:`missing`).

    Args:
        settings: Which cluster and namespace.
        clock: For the time that is left.
        registry_url: Where pods check keys, from inside the cluster.
    """
    return Cluster(
        ClusterOptions(
            api=ApiOptions(
                kubeconfig=settings.kubeconfig, context=settings.context, timeout_seconds=settings.call_seconds
            ),
            rendering=RenderingOptions(
                instance=settings.instance,
                namespace=settings.namespace or "",
                images=(settings.images or "").rstrip("/"),
                registry_url=registry_url,
                values=settings.values,
            ),
            look_seconds=settings.look_seconds,
        ),
        clock,
    )
