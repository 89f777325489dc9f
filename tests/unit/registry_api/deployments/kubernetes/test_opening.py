# SPDX-License-Identifier: Apache-2.0
"""A worker's settings lead to its cluster, or to a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from core.clock import SystemClock
from registry_api.deployments.kubernetes.opening import missing, opened
from registry_api.deployments.kubernetes.testing import ClusterServer
from registry_api.settings.worker import KubernetesSettings, WorkerSettings


def test_what_is_missing_is_named() -> None:
    """Without a namespace, or a place to pull from, there is no such target; with both there is."""
    assert "FUROSHIKI_KUBERNETES__NAMESPACE" in str(missing(KubernetesSettings()))
    assert "FUROSHIKI_KUBERNETES__IMAGES" in str(missing(KubernetesSettings(namespace="ml")))
    assert missing(KubernetesSettings(namespace="ml", images="registry.example.com")) is None


def test_settings_reach_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker asks the cluster of its kubeconfig, in its namespace."""
    server = ClusterServer(namespace="models")
    with server.running():
        given = {
            "namespace": "models",
            "images": "r.example.com/",
            "kubeconfig": str(server.kubeconfig(tmp_path / "k")),
        }
        monkeypatch.setenv("FUROSHIKI_KUBERNETES", json.dumps(given))
        settings = WorkerSettings().kubernetes
        cluster = opened(settings, SystemClock(), registry_url="https://registry.example.com")

        assert cluster.managed() == ()
        assert {each.query["labelSelector"] for each in server.asked} == {
            "app.kubernetes.io/managed-by=furoshiki-registry,furoshiki.dev/instance=furoshiki"
        }


def test_an_instance_is_a_name() -> None:
    """It becomes a label and a part of names."""
    with pytest.raises(ValidationError):
        KubernetesSettings(instance="Not a name")
