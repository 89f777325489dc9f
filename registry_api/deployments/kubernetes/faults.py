# SPDX-License-Identifier: Apache-2.0
"""What the Kubernetes API says, as our errors. Source: API conventions, "Response Status Kind".

401, 403 of RBAC                  CLUSTER_002      404 of a namespace, or one being deleted   CLUSTER_004
403 of a quota                    CLUSTER_005      409 between field managers                 STATE_001, with the fields
400, 403, 422 of admission        CLUSTER_003      408, 410, 429, 5xx, no answer              CLUSTER_001
"""

from __future__ import annotations

from http import HTTPStatus

import orjson

from core.errors import ClusterError, Conflict, ErrorCode, FuroshikiError, Unavailable
from registry_api.deployments.kubernetes.values import Document

_LONGEST = 1000
_LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GONE, HTTPStatus.TOO_MANY_REQUESTS})


def status_of(body: bytes) -> Document:
    """The ``Status`` object of an answer; of whatever else answered, its beginning as the message."""
    try:
        read = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {"message": body[:_LONGEST].decode(errors="replace")}
    return read if isinstance(read, dict) else {"message": str(read)[:_LONGEST]}


def fault(code: int, body: bytes, asked: str) -> FuroshikiError:
    """The error for an answer that is none of 2xx.

    Args:
        code: The HTTP status.
        body: What came with it.
        asked: What was asked, for people: ``apply Deployment/NAME``.
    """
    status = status_of(body)
    said = str(status.get("message") or f"HTTP status {code}")[:_LONGEST]
    if code in _LATER or code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return unreachable(asked, said)
    if code == HTTPStatus.UNAUTHORIZED:
        return _denied(f"The cluster does not accept our credentials, read anew just now; cannot {asked}: {said}")
    if code == HTTPStatus.FORBIDDEN:
        return _forbidden(asked, said)
    if code == HTTPStatus.CONFLICT:
        return _conflict(status, asked, said)
    if code == HTTPStatus.NOT_FOUND and (status.get("details") or {}).get("kind") == "namespaces":
        return ClusterError(ErrorCode.CLUSTER_NAMESPACE, f"Cannot {asked}: {said}. Create the namespace first.")
    return ClusterError(ErrorCode.CLUSTER_REFUSED, f"The cluster refused to {asked}: {said}", details=_causes(status))


def unreachable(asked: str, why: str) -> Unavailable:
    """The error for no answer, or one that says to come again."""
    return Unavailable(
        ErrorCode.CLUSTER_UNREACHABLE, f"The cluster's API did not {asked}: {why[:_LONGEST]}", retry_after=5.0
    )


def _denied(message: str) -> ClusterError:
    return ClusterError(ErrorCode.CLUSTER_DENIED, message)


def _forbidden(asked: str, said: str) -> FuroshikiError:
    """403 has four senders; only their sentences tell them apart (k8s.io/apiserver, k8s.io/kubernetes/plugin)."""
    if "exceeded quota" in said:
        return Unavailable(ErrorCode.CLUSTER_FULL, f"Cannot {asked}: {said}", retry_after=60.0)
    if "is being terminated" in said:
        return ClusterError(ErrorCode.CLUSTER_NAMESPACE, f"Cannot {asked}: {said}")
    if " cannot " in said and " in API group " in said:
        return _denied(f"The registry's account may not {asked}: {said}. See worker.manageDeployments of the chart.")
    return ClusterError(ErrorCode.CLUSTER_REFUSED, f"The cluster refused to {asked}: {said}")


def _conflict(status: Document, asked: str, said: str) -> FuroshikiError:
    causes = (status.get("details") or {}).get("causes") or []
    fields = [each["field"] for each in causes if each.get("reason") == "FieldManagerConflict"]
    if not fields:
        return unreachable(asked, said)  # changed, or being deleted, at the same moment: the next attempt reads it anew
    return Conflict(
        ErrorCode.STATE_CONFLICT,
        f"Cannot {asked}: somebody else manages {', '.join(fields)}: {said}. Give the fields up there, then deploy again.",
        details={"fields": fields},
    )


def _causes(status: Document) -> dict[str, list[str]]:
    causes = (status.get("details") or {}).get("causes") or []
    fields = [each["field"] for each in causes if "field" in each]
    return {"fields": fields} if fields else {}
