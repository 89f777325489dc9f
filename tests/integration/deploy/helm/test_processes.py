# SPDX-License-Identifier: Apache-2.0
"""The processes start with the very environment that the chart writes into their pods, and answer the probes it asks.

Only what a pod brings along is put in its place: addresses, ports, and where volumes are mounted.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.helm.rendering import profile, render
from deploy.local.stack import ROOT, free_port

ADDRESS = "127.0.0.2"  # of the loopback interface, and nobody's default: who listens here was told to
START_S = 120.0
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A process that has the environment of a container."""

    container: Mapping[str, Any]
    process: subprocess.Popen[bytes]
    url: str
    grace: int  # seconds a pod has to end
    log: Path

    def probe(self, kind: str) -> int:
        """The status that a probe gets; 0 while nobody listens."""
        try:
            return httpx.get(self.url + self.container[kind]["httpGet"]["path"], timeout=5, trust_env=False).status_code
        except httpx.TransportError:
            return 0

    def wait(self) -> None:
        """Waits until the startup probe succeeds."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            if self.probe("startupProbe") == 200:
                return
            time.sleep(0.1)
        raise AssertionError(self.log.read_text()[-3000:])


class Node:
    """Where the containers of the profile "dev" run: their ports, volumes and names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = {name: free_port() for name in ("registry", "worker", "inference")}
        self._pods = {
            document["metadata"]["name"]: document["spec"]["template"]["spec"]
            for document in render(profile("dev"))
            if document["kind"] == "Deployment"
        }

    def container(self, pod: str, name: str) -> dict[str, Any]:
        """A container of a pod."""
        spec = self._pods[pod]
        return next(each for each in (*spec.get("initContainers", ()), *spec["containers"]) if each["name"] == name)

    def environment(self, pod: str, name: str) -> dict[str, str]:
        """What its container is given, with what this machine has instead of the cluster."""
        replaced = {
            "/run/secrets/furoshiki-service/key": str(self._folder / "furoshiki-registry" / "home" / "service.key"),
            "/var/lib/furoshiki": str(self._folder / pod),
            "0.0.0.0": ADDRESS,
            "http://furoshiki-registry.ml.svc:8800": f"http://{ADDRESS}:{self._ports['registry']}",
        }
        given = {}
        for variable in self.container(pod, name)["env"]:
            value = variable["value"]
            for old, new in replaced.items():
                value = value.replace(old, new)
            given[variable["name"]] = value
        ports = {
            "FUROSHIKI_HTTP__PORT": "registry",
            "FUROSHIKI_WORKER__METRICS_PORT": "worker",
            "BENTOML_PORT": "inference",
        }
        given |= {name: str(self._ports[own]) for name, own in ports.items() if name in given}
        return {"PATH": os.environ["PATH"], **given}

    @contextmanager
    def run(self, pod: str, name: str, *command: str) -> Iterator[Running]:
        """Runs a container's process, and ends it."""
        log = self._folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                env=self.environment(pod, name),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        grace = self._pods[pod]["terminationGracePeriodSeconds"]
        url = f"http://{ADDRESS}:{self._ports[name]}"
        running = Running(container=self.container(pod, name), process=process, url=url, grace=grace, log=log)
        try:
            running.wait()
            yield running
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(grace)
                finally:
                    process.kill()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    return Node(tmp_path_factory.mktemp("node"))


@pytest.fixture(scope="module")
def running(node: Node) -> Iterator[dict[str, Running]]:
    """The profile "dev": migrations as the init container runs them, registry, worker, and a server of every model."""
    pod = "furoshiki-registry"
    subprocess.run(
        [sys.executable, "-m", "registry_api", *node.container(pod, "migrate")["args"]],
        cwd=ROOT,
        env=node.environment(pod, "migrate"),
        check=True,
        capture_output=True,
    )
    with ExitStack() as stack:
        found = {}
        for name in ("registry", "worker"):
            found[name] = stack.enter_context(node.run(pod, name, "registry_api", *node.container(pod, name)["args"]))
        service = "services.inference.service:Inference"
        found["inference"] = stack.enter_context(node.run("furoshiki-all", "inference", "bentoml", "serve", service))
        yield found


@pytest.mark.parametrize("name", ["registry", "worker", "inference"])
def test_probes_succeed(name: str, running: dict[str, Running]) -> None:
    """Every probe of the container gets 200 at the address that its environment names."""
    process = running[name]
    probes = [kind for kind in PROBES if kind in process.container]

    assert "livenessProbe" in probes
    assert {kind: process.probe(kind) for kind in probes} == dict.fromkeys(probes, 200)


def test_metrics_are_where_they_are_scraped(running: dict[str, Running]) -> None:
    """The paths of the ServiceMonitors: registry and worker answer, the server only where it was opened."""
    pages = {name: httpx.get(f"{each.url}/metrics", trust_env=False) for name, each in running.items()}

    assert "furoshiki_registry_requests_total" in pages["registry"].text
    assert "furoshiki_job_seconds" in pages["worker"].text
    assert pages["inference"].status_code == 200  # this machine may always ask


def test_a_stop_ends_in_time(running: dict[str, Running]) -> None:
    """SIGTERM ends each process within the pod's grace period, as a wish and not as a failure."""
    ended = {}
    for name in ("inference", "worker", "registry"):
        process = running[name].process
        process.send_signal(signal.SIGTERM)
        ended[name] = process.wait(running[name].grace)

    assert ended == {"inference": 0, "worker": 0, "registry": 0}
