# SPDX-License-Identifier: Apache-2.0
"""The oldest Helm and the newest make the same manifests and refuse the same values."""

from __future__ import annotations

import re

import pytest

from deploy.helm.rendering import CHART, NAMESPACE, PROFILES, RELEASE, documents, profile, render
from deploy.local.components import helm3


@pytest.mark.parametrize("version", ["1.28.0", "1.33.0"])
@pytest.mark.parametrize("name", PROFILES)
def test_both_render_the_same(name: str, version: str) -> None:
    """Every document of Helm 3.6 equals that of Helm 4."""
    values = profile(name)
    old = helm3.template(CHART, values, release=RELEASE, namespace=NAMESPACE, kube_version=version)

    assert documents([old]) == render(values)


@pytest.mark.parametrize("name", PROFILES)
def test_the_old_one_finds_nothing_to_complain_about(name: str) -> None:
    """`helm lint --strict` of Helm 3.6 passes."""
    assert "0 chart(s) failed" in helm3.lint(CHART, profile(name))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"registy": {}}, "registy"),
        ({"redis": {"url": "redis://:secret@host"}}, "redis.url"),
        ({}, "image.repository and image.digest"),
        ({"registry": {"enabled": False}, "deployments": {"a": {"model": "m"}}}, "image"),
    ],
)
def test_the_old_one_refuses_what_is_wrong(values: dict[str, object], said: str) -> None:
    """Its schema and its sentences hold with Helm 3.6 too."""
    with pytest.raises(helm3.Refused, match=re.escape(said)):
        helm3.template(CHART, values, release=RELEASE, namespace=NAMESPACE, kube_version="1.31.0")


def test_a_cluster_that_is_too_old_is_refused() -> None:
    """Kubernetes 1.27 is not supported."""
    with pytest.raises(helm3.Refused, match="incompatible with Kubernetes"):
        helm3.template(CHART, profile("edge"), release=RELEASE, namespace=NAMESPACE, kube_version="1.27.0")
