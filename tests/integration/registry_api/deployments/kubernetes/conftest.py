# SPDX-License-Identifier: Apache-2.0
"""A cluster on loopback that accepts only what fits Kubernetes' strict schemas, and this registry's way to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from http import HTTPStatus
from pathlib import Path

import kubernetes_validate
import pytest

from core.clock import SystemClock
from registry_api.deployments.kubernetes.cluster import Cluster, ClusterOptions
from registry_api.deployments.kubernetes.connecting import ApiOptions
from registry_api.deployments.kubernetes.rendering import RenderingOptions
from registry_api.deployments.kubernetes.testing import Asked, ClusterServer, Refused
from tests.integration.registry_api.deployments.kubernetes.wanting import IMAGES, NAMESPACE

VERSIONS = ("1.28", "1.29", "1.30", "1.31", "1.32", "1.33")
Make = Callable[..., Cluster]


def strict(asked: Asked) -> None:
    """What no supported Kubernetes accepts is refused."""
    wrong = complaint(json.dumps(asked.body)) if asked.method == "PATCH" else None
    if wrong:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, wrong)


@cache
def complaint(body: str) -> str | None:
    """What the strict schema of some version says against an object."""
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(json.loads(body), version, strict=True)
        except kubernetes_validate.ValidationError as error:
            return f"{version}: {error}"
    return None


@pytest.fixture
def server() -> Iterator[ClusterServer]:
    served = ClusterServer(namespace=NAMESPACE)
    served.before = strict
    with served.running():
        yield served


@pytest.fixture
def make(server: ClusterServer, tmp_path: Path) -> Make:
    """Makes the way to the cluster; ``values`` is a file, ``instance`` a registry, ``kubeconfig`` another configuration."""

    def made(
        *,
        instance: str = "main",
        namespace: str = NAMESPACE,
        values: Path | None = None,
        kubeconfig: Path | None = None,
        pause: Callable[[float], None] = lambda _: None,
    ) -> Cluster:
        config = kubeconfig or server.kubeconfig(tmp_path / "kubeconfig")
        options = ClusterOptions(
            api=ApiOptions(kubeconfig=config, timeout_seconds=2.0),
            rendering=RenderingOptions(
                instance=instance,
                namespace=namespace,
                images=IMAGES,
                registry_url="https://registry.example.com",
                values=values,
            ),
            look_seconds=1.0,
            pause_seconds=0.01,
        )
        return Cluster(options, SystemClock(), pause=pause)

    return made


@pytest.fixture
def cluster(make: Make) -> Cluster:
    return make()
