# SPDX-License-Identifier: Apache-2.0
"""Deployments as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from artifacts.digest import Digest
from registry_api.deployments.states import DeploymentState
from registry_api.jobs.interface import Fault


class TargetKind(StrEnum):
    """Where a deployment runs."""

    PROCESS = "process"  # `bentoml serve` on the worker's machine, on loopback


class AuthMode(StrEnum):
    """Who may call a deployment."""

    API_KEY = "api_key"  # callers with a key of the tenant that may infer
    OPEN = "open"  # everybody on this machine


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDeployment:
    """What a caller asks for."""

    tenant: str
    name: str
    build_id: str
    target: TargetKind
    auth: AuthMode


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a deployment runs, or is being started."""

    host: str  # the machine
    run: str  # id of this start; in the environment of each of its processes
    url: str | None = None  # None: does not answer yet
    pid: int | None = None  # of the first process; None: not started yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A deployment as stored."""

    id: str
    tenant: str
    name: str
    build_id: str
    model: str
    version: int
    digest: Digest  # of the Bento's manifest
    target: TargetKind
    auth: AuthMode
    state: DeploymentState
    place: Place | None  # None: no worker began to start it
    job_id: str  # of the job that last worked for it
    error: Fault | None  # None: no failure
    created_at: datetime
    updated_at: datetime
