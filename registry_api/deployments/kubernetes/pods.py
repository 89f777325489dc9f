# SPDX-License-Identifier: Apache-2.0
"""A deployment's pods, and what they print.

``sinceTime`` of the API counts whole seconds (kubernetes/kubernetes#77856), and ``limitBytes`` cuts in the middle of a line:
whoever reads on asks with timestamps and leaves out what he has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.errors import ErrorCode, FuroshikiError
from registry_api.deployments.kubernetes.api import Api, Call
from registry_api.deployments.kubernetes.kinds import POD
from registry_api.deployments.kubernetes.values import Document

CONTAINER: Final = "inference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One pod, as far as its log is concerned."""

    name: str
    created: str  # RFC 3339
    restarts: int  # of the container that serves


class Pods:
    """The pods of one namespace.

    Args:
        api: The cluster.
        namespace: Where they are.
    """

    def __init__(self, api: Api, *, namespace: str) -> None:
        self._api = api
        self._namespace = namespace

    def documents(self, release: str) -> list[Document]:
        """The pods of a release, as the cluster has them."""
        path = POD.path(self._namespace)
        return self._api.every(path, "list pods", selector=f"app.kubernetes.io/instance={release}")

    def of(self, release: str) -> list[Pod]:
        """The pods of a release, the newest first."""
        pods = [_pod(each) for each in self.documents(release)]
        return sorted(pods, key=lambda each: (each.created, each.name), reverse=True)

    def printed(self, pod: str, *, since: str | None, limit: int, previous: bool = False) -> bytes:
        """What a pod printed, each line after its timestamp; b"" if it did not start yet, or is gone.

        Args:
            pod: Its name.
            since: RFC 3339 in whole seconds; None: from the beginning.
            limit: About the most bytes; the last line may be cut.
            previous: What its container printed that ended before the present one.
        """
        query = {"container": CONTAINER, "timestamps": "true", "limitBytes": str(limit)}
        query |= {"sinceTime": since} if since is not None else {}
        query |= {"previous": "true"} if previous else {}
        path = f"{POD.path(self._namespace, pod)}/log"
        try:
            return self._api.text(Call(method="GET", path=path, asked=f"read the log of {pod}", query=query, once=True))
        except FuroshikiError as error:
            if error.code is ErrorCode.CLUSTER_REFUSED:
                return b""
            raise


def _pod(found: Document) -> Pod:
    metadata = found["metadata"]
    statuses: Sequence[dict[str, Any]] = (found.get("status") or {}).get("containerStatuses") or ()
    restarts = sum(int(each.get("restartCount", 0)) for each in statuses if each.get("name") == CONTAINER)
    return Pod(name=metadata["name"], created=str(metadata.get("creationTimestamp", "")), restarts=restarts)
