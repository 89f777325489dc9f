# SPDX-License-Identifier: Apache-2.0
"""A container differs from its launch in image, command, caller, rights or limits, and says so in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from registry_api.deployments.podman.comparing import difference
from registry_api.deployments.podman.confinement import Confinement
from registry_api.deployments.target import Launch
from registry_api.deployments.values import UNLIMITED, AuthMode, Limits

DIGEST = "sha256:" + "1" * 64
NAME = f"localhost/furoshiki@{DIGEST}"
LIMITS = Limits(cpus=0.5, memory_bytes=(256 << 20) + 5)  # no whole number of pages


def _launch(limits: Limits = LIMITS) -> Launch:
    return Launch(deployment_id="d", run="r", folder=Path("f"), auth=AuthMode.API_KEY, image=DIGEST, limits=limits)


def _inspected(**changed: Any) -> dict[str, Any]:
    """What ``podman inspect`` 4.3 says of a container as it should be, as far as it is read."""
    config = {
        "Env": ["PATH=/bin", "FUROSHIKI_AUTH__MODE=api_key"],
        "User": "65532:65532",
        "CreateCommand": ["podman", "create", "--name", "n", NAME],
    }
    host = {"ReadonlyRootfs": True}
    found = {"ImageDigest": DIGEST, "ImageName": NAME, "EffectiveCaps": None, "Config": config, "HostConfig": host}
    config |= changed.pop("Config", {})
    host |= changed.pop("HostConfig", {})
    return found | changed


def _confined(cpus: float | None = 0.5, memory: int | None = 256 << 20, *, told: bool = True) -> Confinement:
    return Confinement(cpus=cpus, memory_bytes=memory, told_cpus=told, told_memory=told)


def test_one_as_it_should_be_does_not_differ() -> None:
    """Also where limits cannot be read, and without limits."""
    assert difference(_inspected(), _confined(), _launch()) == ""
    assert difference(_inspected(), _confined(None, None, told=False), _launch()) == ""
    assert difference(_inspected(), _confined(None, None), _launch(UNLIMITED)) == ""


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"ImageDigest": "sha256:2"}, f"its image is sha256:2 instead of {DIGEST}"),
        ({"Config": {"Env": ["FUROSHIKI_AUTH__MODE=open"]}}, "FUROSHIKI_AUTH__MODE is open instead of api_key"),
        ({"Config": {"Env": []}}, "FUROSHIKI_AUTH__MODE is not set instead of api_key"),
        (
            {"Config": {"CreateCommand": ["podman", "run", NAME, "sh"]}},
            "its command is another one instead of the image's",
        ),
        (
            {"Config": {"CreateCommand": ["podman", "run", "--entrypoint", "sh", NAME]}},
            "its command is another one instead of the image's",
        ),
        ({"Config": {"CreateCommand": None}}, "its command is another one instead of the image's"),
        ({"Config": {"User": "0:0"}}, "its user is 0:0 instead of 65532:65532"),
        ({"HostConfig": {"ReadonlyRootfs": False}}, "its root is writable instead of read-only"),
        ({"EffectiveCaps": ["CAP_KILL"]}, "its capability is CAP_KILL instead of none"),
    ],
)
def test_what_differs_is_named(changed: dict[str, Any], told: str) -> None:
    """What there is, and what was wanted."""
    assert difference(_inspected(**changed), _confined(), _launch()) == told


def test_limits_that_were_changed_or_lifted_are_named() -> None:
    """In both directions."""
    tight = difference(_inspected(), _confined(0.25, 128 << 20), _launch())
    assert tight == (
        "it may use 0.25 processors instead of 0.5; it may use 134217728 bytes of memory instead of 268435461"
    )
    lifted = difference(_inspected(), _confined(None, None), _launch())
    assert lifted.startswith("it may use any number of processors instead of 0.5")
    assert "134217728 bytes of memory instead of any number of" in difference(
        _inspected(), _confined(None, 128 << 20), _launch(UNLIMITED)
    )
