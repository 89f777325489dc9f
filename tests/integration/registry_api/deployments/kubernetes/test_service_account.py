# SPDX-License-Identifier: Apache-2.0
"""The account of the worker's own pod, over TLS: what the kubelet mounts, and replaces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from kubernetes.config import incluster_config

from core.clock import SystemClock
from deploy.local.components.certificates import write_certificate
from registry_api.deployments.kubernetes.cluster import Cluster
from registry_api.deployments.kubernetes.opening import opened
from registry_api.deployments.kubernetes.testing import ClusterServer
from registry_api.settings.worker import KubernetesSettings
from tests.integration.registry_api.deployments.kubernetes.test_bad_clusters import failure


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ClusterServer]:
    write_certificate(tmp_path / "server.crt", tmp_path / "server.key")
    served = ClusterServer()
    with served.running(certificate=tmp_path / "server.crt", key=tmp_path / "server.key"):
        yield served


@pytest.fixture
def account(server: ClusterServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a kubelet mounts into each container."""
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text(server.token)
    (folder / "ca.crt").write_bytes((tmp_path / "server.crt").read_bytes())
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(folder / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(folder / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(urlsplit(server.url).port))
    return folder


@pytest.fixture
def cluster(account: Path) -> Cluster:
    assert (account / "token").is_file()
    settings = KubernetesSettings(namespace="ml", images="registry.example.com", call_seconds=2)
    return opened(settings, SystemClock(), registry_url="https://registry.example.com")


def test_the_account_is_enough(cluster: Cluster) -> None:
    """No setting but the namespace and the place to pull from."""
    assert cluster.managed() == ()


def test_a_token_is_replaced_under_way(server: ClusterServer, account: Path, cluster: Cluster) -> None:
    """The kubelet writes a new one long before the old one ends; one that ended early is read again after a refusal."""
    assert cluster.managed() == ()
    server.token = "another"
    (account / "token").write_text("another")
    assert cluster.managed() == ()


def test_a_token_that_is_not_there_yet(server: ClusterServer, account: Path, cluster: Cluster) -> None:
    """The setting is wrong as long as nothing was read; a refusal is told as one, and the next call finds the token."""
    (account / "token").write_text("")
    assert failure(cluster.managed).code == "INIT_002"
    (account / "token").write_text(server.token)
    assert cluster.managed() == ()


def test_a_cluster_of_another_authority_is_not_talked_to(
    server: ClusterServer, account: Path, cluster: Cluster, tmp_path: Path
) -> None:
    """It gets no token: the certificate is checked first."""
    write_certificate(tmp_path / "other.crt", tmp_path / "other.key")
    (account / "ca.crt").write_bytes((tmp_path / "other.crt").read_bytes())
    error = failure(cluster.managed)

    assert (error.code, "CERTIFICATE_VERIFY_FAILED" in error.message) == ("CLUSTER_001", True)
    assert server.asked == []
