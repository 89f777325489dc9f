# SPDX-License-Identifier: Apache-2.0
"""A registry with a worker, the stand-in of a cluster, and a real registry of images that wants a login over TLS."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from artifacts.oci.access import Access, Credentials
from artifacts.oci.registry import Registry
from core.clock import SystemClock
from core.errors import NotFound
from deploy.local.components.docker_registry import PASSWORD, USER, DockerRegistry
from registry_api.deployments.clusters.watch import ClusterWatch
from registry_api.deployments.kubernetes.cluster import Cluster
from registry_api.deployments.kubernetes.naming import release_name, server_name
from registry_api.deployments.kubernetes.opening import opened
from registry_api.deployments.kubernetes.testing import ClusterServer
from registry_api.deployments.kubernetes.testing.merging import Object
from registry_api.settings.worker import DeploymentSettings, KubernetesSettings, WorkerSettings
from registry_api.worker import assemble
from tests.integration.registry_api.bench import Bench

NAMESPACE = "ml"
REGISTRY_URL = "https://registry.example.com"
RELEASE = release_name("furoshiki", "default", "shop")
SERVER = server_name(RELEASE)
URL = f"http://{SERVER}.{NAMESPACE}.svc:3000"


@dataclass(frozen=True, kw_only=True)
class Depot:
    """Where images are pushed by one test; no other test has the folder."""

    server: DockerRegistry
    folder: str

    @property
    def images(self) -> str:
        """The prefix that the cluster pulls from."""
        return f"{self.server.host}/{self.folder}"

    async def tags(self) -> list[str]:
        """The tags beside the images."""
        async with self._registry() as registry:
            return await registry.repository(self._repository).tags()

    async def holds(self, digest: str) -> bool:
        """Whether an image is there."""
        async with self._registry() as registry:
            try:
                await registry.repository(self._repository).fetch(digest)
            except NotFound:
                return False
            return True

    @property
    def _repository(self) -> str:
        return f"{self.folder}/default/digits"

    def _registry(self) -> Registry:
        login = Credentials(username=USER, password=PASSWORD)
        return Registry(self.server.host, Access(credentials=login, ca_file=self.server.ca_file))


def settings_of(server: ClusterServer, depot: Depot, folder: Path) -> KubernetesSettings:
    """A worker's, with everything quick; files go to ``folder``."""
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    auth_file = folder / "auth.json"
    auth_file.write_text(json.dumps({"auths": {depot.server.host: {"auth": login}}}))
    return KubernetesSettings(
        namespace=NAMESPACE,
        images=depot.images,
        auth_file=auth_file,
        ca_file=depot.server.ca_file,
        kubeconfig=server.kubeconfig(folder / "kubeconfig"),
        call_seconds=5,
        look_seconds=0.5,
        ready_seconds=20,
        compare_seconds=0.001,
    )


def own_settings(kubernetes: KubernetesSettings) -> WorkerSettings:
    """A worker's, with a cluster."""
    deployments = DeploymentSettings(registry_url=REGISTRY_URL)
    return WorkerSettings(kubernetes=kubernetes, deployments=deployments)


@dataclass(kw_only=True)
class Yard:
    """What the tests use."""

    bench: Bench
    server: ClusterServer
    depot: Depot
    images: list[dict[str, Any]]  # of two versions, the first one first

    async def deploy(self, **fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Asks for deployment ``shop`` of the first image; the job, once it has ended, and what there is then."""
        body = {"name": "shop", "image_id": self.images[0]["id"], "target": "kubernetes", **fields}
        asked = await self.bench.api.ok("POST", "/deployments", json=body)
        return await self.bench.ended(asked["job_id"]), await self.bench.deployment()

    async def deployed(self, **fields: Any) -> dict[str, Any]:
        """As :meth:`deploy`, with a worker of its own, and it must serve."""
        async with self.bench.working():
            job, shop = await self.deploy(**fields)
        assert job["state"] == "succeeded", job
        return shop

    def with_patience(self, seconds: float) -> WorkerSettings:
        """A worker's settings that wait so long for pods."""
        kubernetes = self.bench.own.kubernetes.model_copy(update={"ready_seconds": seconds})
        return self.bench.own.model_copy(update={"kubernetes": kubernetes})

    def watch(self) -> ClusterWatch:
        """Of another worker."""
        watch = assemble(self.bench.api.platform, self.bench.own).cluster_watch
        assert watch is not None
        return watch

    def cluster(self, **changes: Any) -> Cluster:
        """As its workers open it, but for changed settings."""
        settings = self.bench.own.kubernetes.model_copy(update=changes)
        return opened(settings, SystemClock(), registry_url=REGISTRY_URL)

    @property
    def spec(self) -> Object:
        """Of the Deployment in the cluster."""
        found = self.server.objects.get("deployments", SERVER)
        assert found is not None
        spec: Object = found["spec"]
        return spec

    @property
    def pods(self) -> list[str]:
        """The names of those that there are."""
        return [each["metadata"]["name"] for each in self.server.objects.every("pods")]

    @property
    def image(self) -> str:
        """What its pods run."""
        return str(self.spec["template"]["spec"]["containers"][0]["image"])

    def pulled(self, number: int) -> str:
        """How an image is named in the cluster."""
        return f"{self.depot.images}/default/digits@{self.images[number]['digest']}"

    @property
    def applied(self) -> int:
        """How many objects were really applied."""
        return sum(each.method == "PATCH" and not each.dry for each in self.server.asked)


def new_depot(server: DockerRegistry) -> Depot:
    """An empty one."""
    return Depot(server=server, folder=f"m-{uuid4().hex}")
