# SPDX-License-Identifier: Apache-2.0
"""Reads from a Deployment and its pods how far they are, and the first thing that keeps them from being ready.

Until the cluster's controller has seen what was applied last, its conditions speak of what was there before: they are not
listened to. Pods of earlier revisions may be left for a while: no wait is given up because of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from core.errors import ClusterError, ErrorCode, FuroshikiError
from registry_api.deployments.kubernetes.values import Document, Status, Trouble

_IMAGE: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
_START: Final = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "PostStartHookError",
    }
)
_FINAL: Final = frozenset({"InvalidImageName", "ProgressDeadlineExceeded"})


def status_from(deployment: Document, pods: Sequence[Document], url: str) -> Status:
    """The status of a deployment that exists."""
    told = deployment.get("status") or {}
    updated = int(told.get("updatedReplicas", 0))
    observed = int(told.get("observedGeneration", 0)) >= int(deployment["metadata"]["generation"])
    return Status(
        found=True,
        observed=observed,
        wanted=int(deployment["spec"].get("replicas", 1)),
        updated=updated,
        ready=int(told.get("readyReplicas", 0)),
        left=max(0, int(told.get("replicas", 0)) - updated),
        trouble=next(_troubles(deployment, pods), None) if observed else None,
        url=url,
    )


def not_ready(name: str, status: Status, seconds: float, warning: str) -> FuroshikiError:
    """The error for a deployment that was given up, after so many seconds if its trouble is not final.

    It is not retryable, not even for want of room: the cluster tries on by itself, and another attempt would only wait again.

    Args:
        name: The deployment.
        status: As it was seen last.
        seconds: How long it was waited for.
        warning: The last one that the cluster gave; said if nothing better is known. "": it gave none.
    """
    trouble = status.trouble
    counts = f"{status.ready} of {status.wanted} pods are ready"
    if trouble is None:
        reason = f"the cluster's last warning: {warning}" if warning else "the cluster gives no reason."
        return ClusterError(
            ErrorCode.CLUSTER_NOT_READY, f"Deployment {name!r}: after {seconds:.0f} s {counts}; {reason}"
        )
    message = f"Deployment {name!r}: {counts}: {trouble.reason}: {trouble.message}"
    return ClusterError(trouble.code, message, details={"reason": trouble.reason})


def _troubles(deployment: Document, pods: Sequence[Document]) -> Iterator[Trouble]:
    """A quota first, as it leaves no pod to look at; then what pods say, the newest first; then that it took too long."""
    conditions = (deployment.get("status") or {}).get("conditions") or []
    for each in conditions:
        if each["type"] == "ReplicaFailure" and each["status"] == "True":
            full = "exceeded quota" in each.get("message", "")
            yield _trouble(ErrorCode.CLUSTER_FULL if full else ErrorCode.CLUSTER_REFUSED, each)
    present = _images(deployment["spec"]["template"])
    for pod in sorted(pods, key=lambda each: str(each["metadata"].get("creationTimestamp", "")), reverse=True):
        if "deletionTimestamp" not in pod["metadata"]:
            for trouble in _of_pod(pod.get("status") or {}):
                yield replace(trouble, final=trouble.final and _images(pod) == present)
    for each in conditions:
        if each["type"] == "Progressing" and each.get("reason") == "ProgressDeadlineExceeded":
            yield _trouble(ErrorCode.CLUSTER_NOT_READY, each)


def _images(pod: Document) -> list[str]:
    return sorted(str(each.get("image")) for each in pod["spec"]["containers"])


def _of_pod(told: Document) -> Iterator[Trouble]:
    for each in told.get("conditions") or []:
        if each["type"] == "PodScheduled" and each["status"] == "False":
            yield _trouble(ErrorCode.CLUSTER_FULL, each)
    for container in (*(told.get("initContainerStatuses") or ()), *(told.get("containerStatuses") or ())):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        if reason in _IMAGE:
            yield _trouble(ErrorCode.CLUSTER_IMAGE, waiting)
        elif reason in _START:
            yield _trouble(ErrorCode.CLUSTER_NOT_READY, waiting | {"message": _why(container, waiting)})
        elif not waiting and container.get("restartCount") and not container.get("ready"):
            said = {"reason": "Restarted", "message": f"{container['restartCount']} times"}
            yield _trouble(ErrorCode.CLUSTER_NOT_READY, said | {"message": _why(container, said)})


def _why(container: Document, waiting: dict[str, Any]) -> str:
    ended = (container.get("lastState") or {}).get("terminated")
    said = str(waiting.get("message", ""))
    if not ended:
        return said
    return f"{said} (last exit code {ended.get('exitCode')}, {ended.get('reason', 'no reason given')})".strip()


def _trouble(code: ErrorCode, said: Document) -> Trouble:
    reason = str(said.get("reason", ""))
    return Trouble(code=code, reason=reason, message=str(said.get("message", "")), final=reason in _FINAL)
