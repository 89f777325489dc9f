# SPDX-License-Identifier: Apache-2.0
"""Probes ask for routes that the applications have."""

from __future__ import annotations

from registry_api.http import operations
from services.openapi.document import document
from tests.unit.deploy.manifests import probes

WORKER = {"/metrics"}  # all that prometheus_client's server answers
BENTOML = {
    "/healthz",
    "/livez",
    "/metrics",
}  # answered by BentoML's own application; tests/integration/deploy starts it


def test_every_probe_has_a_route() -> None:
    """Registry, worker and model server answer each path that a probe of theirs asks for."""
    routes = {
        "registry": {getattr(route, "path", "") for route in operations.router.routes},
        "worker": WORKER,
        "inference": BENTOML | set(document()["paths"]),
    }
    asked = [(container, path) for _, container, path in probes()]

    assert {container for container, _ in asked} == set(routes)
    assert [(container, path) for container, path in asked if path not in routes[container]] == []
