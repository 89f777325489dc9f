# SPDX-License-Identifier: Apache-2.0
"""What Kubernetes reports about a deployment's objects and pods: often the only place that says why a pod does not start."""

from __future__ import annotations

from typing import Final

from registry_api.deployments.kubernetes.api import Api
from registry_api.deployments.kubernetes.kinds import EVENT
from registry_api.deployments.kubernetes.values import ClusterEvent, Document

_MOST: Final = 200


def events_of(api: Api, namespace: str, release: str) -> tuple[ClusterEvent, ...]:
    """The last 200 events about a release, oldest first. The cluster itself keeps them for about an hour."""
    listed = api.every(EVENT.path(namespace), "list events")
    found = [_event(each) for each in listed if _about(each).startswith(f"{release}-")]
    return tuple(sorted(found, key=lambda each: each.at)[-_MOST:])


def _about(found: Document) -> str:
    return str((found.get("involvedObject") or {}).get("name", ""))


def _event(found: Document) -> ClusterEvent:
    return ClusterEvent(
        at=str(found.get("lastTimestamp") or found.get("eventTime") or found["metadata"].get("creationTimestamp", "")),
        reason=str(found.get("reason", "")),
        message=str(found.get("message", "")),
        warning=found.get("type") == "Warning",
    )
