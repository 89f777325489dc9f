# SPDX-License-Identifier: Apache-2.0
"""What is wanted of a cluster, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from artifacts.digest import Digest
from core.errors import ErrorCode
from registry_api.deployments.values import UNLIMITED, AuthMode, Limits

Document: TypeAlias = Mapping[str, Any]  # an object of Kubernetes, as JSON has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """The cluster chooses the number of pods, by CPU and by rows that wait."""

    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One deployment as it is to be."""

    tenant: str
    name: str
    model: str  # NAME@VERSION, for people
    repository: str  # below the prefix that the cluster pulls from
    image: Digest  # of its manifest
    revision: int
    run: str  # id of this start; on every object, not on the pods: another start alone replaces no pod
    auth: AuthMode = AuthMode.API_KEY
    replicas: int = 1  # without ``scaling``
    scaling: Scaling | None = None
    limits: Limits = UNLIMITED  # of each pod; also what it is promised
    trust: str | None = None  # the tenant's trust policy, as JSON; None: the one inside the image


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """The first thing that keeps a deployment from being ready."""

    code: ErrorCode
    reason: str  # as Kubernetes names it
    message: str
    final: bool = False  # waiting will not help


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How far the cluster is. Numbers are pods."""

    found: bool  # False: the cluster has no such deployment, and the rest says nothing
    observed: bool = False  # whether the cluster's controller has seen what was applied last
    wanted: int = 0
    updated: int = 0  # made of the present revision
    ready: int = 0
    left: int = 0  # of earlier revisions, still there
    trouble: Trouble | None = None
    url: str = ""  # inside the cluster

    @property
    def done(self) -> bool:
        """Whether every wanted pod is of this revision and ready, and no other is left."""
        return self.found and self.observed and self.left == 0 and self.wanted == self.updated == self.ready


@dataclass(frozen=True, slots=True, kw_only=True)
class Managed:
    """What a registry of this instance once applied, as found in the cluster."""

    release: str
    registry: str  # where pods were to reach the registry that applied it
    tenant: str
    name: str
    revision: int
    run: str
    objects: tuple[str, ...]  # KIND/NAME; without a Deployment among them it is an orphan


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A field that somebody changed."""

    thing: str  # KIND/NAME
    field: str  # dotted path; empty: the whole object
    wanted: str  # as JSON; empty: it should not be there
    found: str  # as JSON; empty: it is not there


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterEvent:
    """An event of Kubernetes about an object of a deployment."""

    at: str  # RFC 3339, as the cluster writes it
    reason: str
    message: str
    warning: bool
