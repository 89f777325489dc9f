# SPDX-License-Identifier: Apache-2.0
"""What a worker needs to deploy: the targets of its machine, the handlers of deploy and stop jobs, the watch."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Final

from registry_api.bootstrap.platform import Platform
from registry_api.deployments.credentials import ProbeKeys
from registry_api.deployments.deploying import DeployHandler
from registry_api.deployments.ending import Ender
from registry_api.deployments.launching import Launcher
from registry_api.deployments.podman.target import PodmanOptions, PodmanTarget
from registry_api.deployments.process import ProcessOptions, ProcessTarget
from registry_api.deployments.restarts import RestartPolicy
from registry_api.deployments.starting import Starter
from registry_api.deployments.stopping import StopHandler
from registry_api.deployments.supervised import LOOPBACK
from registry_api.deployments.target import Target
from registry_api.deployments.targets import Targets
from registry_api.deployments.values import TargetKind
from registry_api.deployments.watch import DeploymentWatch
from registry_api.jobs.interface import JobHandler
from registry_api.jobs.service import JobService
from registry_api.settings.registry import Settings
from registry_api.settings.worker import WorkerSettings
from registry_api.tenancy.authenticator import KeyAuthenticator
from registry_api.tenancy.keys import KeyService

_ANY_ADDRESS: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared with, never bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploying:
    """The parts of a worker that deploy."""

    handlers: tuple[JobHandler, ...]
    watch: DeploymentWatch


def open_deploying(platform: Platform, own: WorkerSettings) -> Deploying:
    """Those parts on an open platform."""
    settings, db, clock, host = platform.settings, platform.db, platform.clock, socket.gethostname()
    targets = _targets(settings, own)
    jobs = JobService(db, clock, max_attempts=settings.jobs.max_attempts, queued=settings.jobs.queued)
    ender = Ender(db, clock, targets=targets, folder=settings.deployments_dir, host=host)
    keys = KeyService(db, clock, KeyAuthenticator(db, clock, cache_seconds=0))
    launcher = Launcher(
        db,
        platform.store,
        platform.keys,
        clock,
        starter=Starter(ProbeKeys(keys, clock), ready_seconds=own.deployments.ready_seconds),
        targets=targets,
        folder=settings.deployments_dir,
        host=host,
    )
    timeout = own.deployments.timeout_seconds
    deploy = DeployHandler(db, clock, jobs=jobs, launcher=launcher, ender=ender, targets=targets, timeout=timeout)
    stop = StopHandler(db, clock, jobs=jobs, ender=ender, timeout=timeout)
    watch = DeploymentWatch(db, clock, jobs=jobs, targets=targets, ender=ender, restarts=_restarts(own))
    return Deploying(handlers=(deploy, stop), watch=watch)


def _targets(settings: Settings, own: WorkerSettings) -> Targets:
    folder, trust = settings.deployments_dir, settings.keys_dir / "trust"
    url, grace = own.deployments.registry_url or _own_url(settings), own.deployments.grace_seconds
    process = ProcessOptions(folder=folder, trust_dir=trust, registry_url=url, grace_seconds=grace)
    podman = PodmanTarget(
        PodmanOptions(
            home=settings.home.resolve() / "podman",
            folder=folder,
            trust_dir=trust,
            registry_url=url,
            grace_seconds=grace,
        )
    )
    present: dict[TargetKind, Target] = {TargetKind.PROCESS: ProcessTarget(process)}
    if (missing := podman.missing()) is not None:
        return Targets(present=present, absent={TargetKind.PODMAN: missing})
    return Targets(present={**present, TargetKind.PODMAN: podman})


def _restarts(own: WorkerSettings) -> RestartPolicy:
    deployments = own.deployments
    return RestartPolicy(
        most=deployments.restarts,
        window_seconds=deployments.restart_window_seconds,
        pause_seconds=deployments.restart_pause_seconds,
    )


def _own_url(settings: Settings) -> str:
    """Where the registry listens, as this machine can reach it."""
    http = settings.http
    host = LOOPBACK if http.host in _ANY_ADDRESS else http.host
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{http.port}"
