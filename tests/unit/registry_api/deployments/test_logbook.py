# SPDX-License-Identifier: Apache-2.0
"""Which log is meant by a name, or by none: of what runs, has ended, is elsewhere, or is a pod."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from artifacts.digest import digest_bytes
from core.errors import ErrorCode, NotFound, Unavailable
from registry_api.deployments.logbook import instance_log
from registry_api.deployments.states import DeploymentState
from registry_api.deployments.target import log_folder
from registry_api.deployments.values import AuthMode, Deployment, Instance, InstanceState, TargetKind, Template

NOW = datetime(2026, 1, 1, tzinfo=UTC)
READY = Instance(run="a", revision=1, host="first", url="http://127.0.0.1:1", pid=7, state=InstanceState.READY)
SHOP = Deployment(
    id="d",
    tenant="acme",
    name="shop",
    template=Template(
        build_id="b",
        model="digits",
        version=1,
        digest=digest_bytes(b""),
        target=TargetKind.PROCESS,
        auth=AuthMode.OPEN,
    ),
    replicas=1,
    revision=1,
    serving_revision=1,
    state=DeploymentState.RUNNING,
    instances=(READY,),
    run="a",
    job_id="j",
    error=None,
    created_at=NOW,
    updated_at=NOW,
)
PODS = replace(SHOP, template=replace(SHOP.template, target=TargetKind.KUBERNETES), instances=(), run="j")


def written(deployments: Path, run: str, text: str) -> None:
    """A log that is kept."""
    folder = log_folder(deployments, "d", run)
    folder.mkdir(parents=True)
    (folder / "000000000000.log").write_text(text)


def test_the_first_instances_or_a_named_ones_log_is_read(tmp_path: Path) -> None:
    """Also of one that has ended; from any offset."""
    written(tmp_path, "a", "of a")
    written(tmp_path, "gone", "of one that ended")
    assert instance_log(tmp_path, SHOP, None, offset=0).data == b"of a"
    assert instance_log(tmp_path, SHOP, "gone", offset=3).data == b"one that ended"


def test_an_unknown_instance_is_not_found(tmp_path: Path) -> None:
    """DEPLOY_001 names it and where names are; a deployment without any start has an empty log."""
    with pytest.raises(NotFound, match="'nobody'") as caught:
        instance_log(tmp_path, SHOP, "nobody", offset=0)
    assert caught.value.code is ErrorCode.DEPLOYMENT_NOT_FOUND
    assert instance_log(tmp_path, replace(SHOP, instances=(), run=None), None, offset=0).size == 0


@pytest.mark.parametrize("name", [None, "a"])
def test_a_log_on_another_machine_is_said_to_be_there(tmp_path: Path, name: str | None) -> None:
    """DEVICE_001 names the machine; of an instance that has not begun to write there is nothing yet."""
    with pytest.raises(Unavailable, match="on machine first"):
        instance_log(tmp_path, SHOP, name, offset=0)
    starting = replace(SHOP, instances=(replace(READY, state=InstanceState.STARTING),))
    assert instance_log(tmp_path, starting, name, offset=0).data == b""


def test_pods_are_read_by_their_names(tmp_path: Path) -> None:
    """Without a name, the one whose log began last; where none was copied, the cluster is to be asked."""
    with pytest.raises(Unavailable, match="kubectl logs"):
        instance_log(tmp_path, PODS, None, offset=0)
    written(tmp_path, "shop-7c9f-x2x", "of a pod")
    assert instance_log(tmp_path, PODS, None, offset=0).data == b"of a pod"
    assert instance_log(tmp_path, PODS, "shop-7c9f-x2x", offset=0).data == b"of a pod"
    with pytest.raises(NotFound, match="No log of an instance"):
        instance_log(tmp_path, PODS, "shop-7c9f-yyy", offset=0)
