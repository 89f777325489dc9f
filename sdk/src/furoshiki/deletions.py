# SPDX-License-Identifier: Apache-2.0
"""What was deleted, and the requests that delete and restore."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from furoshiki.api import API, json_request
from furoshiki.steps import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """Something that was deleted. It is hidden, and can be restored until it is purged."""

    at: datetime
    by: str  # name of the API key
    reason: str
    purge_at: datetime  # the first sweep of the registry after this removes it for good

    @property
    def summary(self) -> str:
        """One line."""
        return f"{self.at.isoformat()} by {self.by}: {self.reason}; can be restored until {self.purge_at.isoformat()}"


def delete_request(path: str, *, reason: str, etag: str | None) -> Request:
    """Deletes what is at a path below the registry's API root; with ``etag``, only if it is that still."""
    headers = {} if etag is None else {"If-Match": etag}
    return Request(method="DELETE", path=API + path, query={"reason": reason}, headers=headers)


def restore_request(path: str, *, reason: str, etag: str | None) -> Request:
    """Restores what was at a path below the registry's API root; with ``etag``, only if it is that still."""
    return json_request("POST", f"{path}/restore", {"reason": reason}, etag=etag)
