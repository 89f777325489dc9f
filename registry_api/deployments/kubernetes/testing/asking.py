# SPDX-License-Identifier: Apache-2.0
"""Requests of the API on loopback, read."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs, urlsplit

from registry_api.deployments.kubernetes.testing.merging import Object
from registry_api.deployments.kubernetes.testing.storing import Refused

_PATH: Final = re.compile(
    r"/(?:api/v1|apis/(?P<group>[^/]+)/v\d[^/]*)/namespaces/(?P<namespace>[^/]+)/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?P<log>/log)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as it came."""

    method: str
    group: str  # "" the first one, which has no name
    namespace: str
    plural: str
    name: str | None  # None: of the whole collection
    log: bool  # of a pod
    query: dict[str, str]
    body: Object

    @property
    def dry(self) -> bool:
        """Whether nothing is to change."""
        return self.query.get("dryRun") == "All"


def read(method: str, address: str, body: bytes) -> Asked:
    """A request, as the API's addresses mean it.

    Raises:
        Refused: 404 for an address that is none of the API.
    """
    parts = urlsplit(address)
    found = _PATH.fullmatch(parts.path)
    if found is None:
        raise Refused(HTTPStatus.NOT_FOUND, "the server could not find the requested resource")
    return Asked(
        method=method,
        group=found["group"] or "",
        namespace=found["namespace"],
        plural=found["plural"],
        name=found["name"],
        log=found["log"] is not None,
        query={key: values[-1] for key, values in parse_qs(parts.query).items()},
        body=json.loads(body) if body else {},
    )
