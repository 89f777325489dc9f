# SPDX-License-Identifier: Apache-2.0
"""The kinds this registry applies, in the order in which they are applied; removed in the opposite one.

A role that is to manage deployments needs get, list, create, patch and delete on each, and watch on Deployments (see the
chart's ``templates/access.yaml``).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from registry_api.deployments.kubernetes.values import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of object, as the API's addresses name it."""

    name: str
    version: str  # apiVersion
    plural: str

    def path(self, namespace: str, name: str | None = None) -> str:
        """The address of one object, or of all in the namespace."""
        prefix = "apis" if "/" in self.version else "api"
        collection = f"/{prefix}/{self.version}/namespaces/{namespace}/{self.plural}"
        return collection if name is None else f"{collection}/{name}"


DEPLOYMENT: Final = Kind(name="Deployment", version="apps/v1", plural="deployments")
POD: Final = Kind(name="Pod", version="v1", plural="pods")
EVENT: Final = Kind(name="Event", version="v1", plural="events")

APPLIED: Final = (
    Kind(name="ServiceAccount", version="v1", plural="serviceaccounts"),
    Kind(name="ConfigMap", version="v1", plural="configmaps"),
    Kind(name="NetworkPolicy", version="networking.k8s.io/v1", plural="networkpolicies"),
    Kind(name="Service", version="v1", plural="services"),
    DEPLOYMENT,
    Kind(name="PodDisruptionBudget", version="policy/v1", plural="poddisruptionbudgets"),
    Kind(name="HorizontalPodAutoscaler", version="autoscaling/v2", plural="horizontalpodautoscalers"),
)
BY_NAME: Final = MappingProxyType({kind.name: kind for kind in APPLIED})
ORDER: Final = MappingProxyType({kind.name: index for index, kind in enumerate(APPLIED)})


def kind_of(found: Document) -> Kind:
    """The kind of an object that is applied."""
    return BY_NAME[found["kind"]]


def thing(found: Document) -> str:
    """``KIND/NAME``, for people."""
    return f"{found['kind']}/{found['metadata']['name']}"
