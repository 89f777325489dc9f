# SPDX-License-Identifier: Apache-2.0
"""Finds the log of an instance, which may have ended: logs of the newest are kept, on the machine where they ran.

Whatever keeps instances writes them to the same place (:func:`registry_api.deployments.target.log_folder`), so here is no
difference between processes, containers and pods.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from core.errors import ErrorCode, NotFound, Unavailable
from registry_api.deployments.kubernetes.naming import DEPLOYMENT, TENANT, label_value
from registry_api.deployments.logs import LogPart, newest, read_log
from registry_api.deployments.target import log_folder
from registry_api.deployments.values import Deployment, InstanceState

READ_BYTES: Final = 1 << 20
_EMPTY: Final = LogPart(data=b"", start=0, size=0)


def instance_log(deployments: Path, deployment: Deployment, instance: str | None, *, offset: int) -> LogPart:
    """At most 1 MiB of what one instance wrote.

    Args:
        deployments: Where deployments live on this machine.
        deployment: Whose instance.
        instance: Which one; None: the one that is shown first, of pods the one whose log began last.
        offset: Bytes from the beginning.

    Raises:
        NotFound: ``DEPLOY_001`` if no log of that instance is kept.
        Unavailable: ``DEVICE_001`` if another machine or a cluster keeps it.
    """
    clustered = deployment.template.target.clustered
    run = instance or (newest(deployments / deployment.id) if clustered else deployment.run)
    if run is not None and (folder := log_folder(deployments, deployment.id, run)).is_dir():
        return read_log(folder, offset=offset, limit=READ_BYTES)
    if clustered and instance is None:
        raise _in_cluster(deployment)
    found = next((each for each in deployment.instances if each.run == run), None)
    if found is not None and found.state is not InstanceState.STARTING:
        raise Unavailable(
            ErrorCode.DEVICE_UNAVAILABLE, f"The log of instance {run} is on machine {found.host}; this registry is not."
        )
    if found is None and instance is not None:
        raise NotFound(
            ErrorCode.DEPLOYMENT_NOT_FOUND,
            f"No log of an instance {instance[:64]!r} of deployment {deployment.name!r} is kept. "
            "Its instances are those that the deployment and its events name.",
        )
    return _EMPTY


def _in_cluster(deployment: Deployment) -> Unavailable:
    labels = f"{TENANT}={label_value(deployment.tenant)},{DEPLOYMENT}={label_value(deployment.name)}"
    return Unavailable(
        ErrorCode.DEVICE_UNAVAILABLE,
        f"The registry has no logs of these pods; ask the cluster for those of deployment {deployment.name!r}: "
        f"kubectl logs -c inference -l {labels}",
    )
