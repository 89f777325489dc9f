# SPDX-License-Identifier: Apache-2.0
"""What may be asked of deployments: which target takes what."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from registry_api.deployments.bodies import DeploymentIn
from registry_api.deployments.values import TargetKind

_BODY: TypeAdapter[DeploymentIn] = TypeAdapter(DeploymentIn)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, TargetKind.PODMAN),
        ({"target": "podman"}, TargetKind.PODMAN),
        ({"target": "kubernetes", "limits": {"cpus": 1}}, TargetKind.KUBERNETES),
    ],
)
def test_an_image_runs_on_the_machine_or_in_a_cluster(asked: dict[str, Any], expected: TargetKind) -> None:
    """On the machine, if nothing is said; limits go with either."""
    made = _BODY.validate_python({"name": "shop", "image_id": "1", **asked}).value("acme")
    assert (made.target, made.image_id, made.build_id) == (expected, "1", None)


def test_a_build_runs_on_the_machine_only() -> None:
    """There is nothing a cluster could pull."""
    with pytest.raises(ValidationError):
        _BODY.validate_python({"name": "shop", "build_id": "1", "target": "kubernetes"})
