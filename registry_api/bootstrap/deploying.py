# SPDX-License-Identifier: Apache-2.0
"""What a worker needs to deploy: the targets of its machine, the handlers of deploy and stop jobs, the watch."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Final

from registry_api.bootstrap.clustering import open_clustering
from registry_api.bootstrap.platform import Platform
from registry_api.deployments.absences import Absences
from registry_api.deployments.claims import Claims
from registry_api.deployments.clusters.watch import ClusterWatch
from registry_api.deployments.converger import Convergers
from registry_api.deployments.credentials import ProbeKeys
from registry_api.deployments.deploying import DeployHandler
from registry_api.deployments.drift import Drift
from registry_api.deployments.ending import Ender
from registry_api.deployments.handling import Handling
from registry_api.deployments.instancing import InstanceConverger
from registry_api.deployments.kubernetes.opening import missing
from registry_api.deployments.launching import Launcher
from registry_api.deployments.machines.presence import Presence
from registry_api.deployments.podman.target import PodmanOptions, PodmanTarget
from registry_api.deployments.process import ProcessOptions, ProcessTarget
from registry_api.deployments.repairing import Repairer
from registry_api.deployments.restarts import RestartPolicy
from registry_api.deployments.starting import Starter
from registry_api.deployments.stopping import StopHandler
from registry_api.deployments.supervised import LOOPBACK
from registry_api.deployments.target import Target
from registry_api.deployments.targets import Targets
from registry_api.deployments.values import TargetKind
from registry_api.deployments.verified_images import VerifiedImages
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
    presence: Presence
    watch: DeploymentWatch
    cluster_watch: ClusterWatch | None  # None: this worker has no cluster


def open_deploying(platform: Platform, own: WorkerSettings) -> Deploying:
    """Those parts on an open platform."""
    settings, db, clock, host = platform.settings, platform.db, platform.clock, socket.gethostname()
    targets, timeout = _targets(settings, own), own.deployments.timeout_seconds
    jobs = JobService(db, clock, max_attempts=settings.jobs.max_attempts, queued=settings.jobs.queued)
    presence = Presence(db, clock, host=host, seconds=own.deployments.silence_seconds)
    ender = Ender(db, clock, targets=targets, folder=settings.deployments_dir, host=host)
    images = VerifiedImages(db, platform.store, platform.keys, clock)
    repairer = Repairer(db, clock, jobs=jobs, restarts=_restarts(own))
    claims = Claims(db)
    instances = InstanceConverger(
        db,
        clock,
        claims=claims,
        launcher=_launcher(platform, own, targets, images, host),
        ender=ender,
        targets=targets,
        presence=presence,
        end_seconds=timeout / 4,
    )
    lacking = _lacking(own)
    clustering = None if lacking else open_clustering(platform, own, images=images, repairer=repairer)
    convergers = Convergers(instances, clustering.converger if clustering else None, missing=lacking)
    handling = Handling(db=db, clock=clock, jobs=jobs, claims=claims, convergers=convergers, timeout=timeout)
    watch = DeploymentWatch(
        db,
        clock,
        repairer=repairer,
        targets=targets,
        ender=ender,
        absences=Absences(presence, ender),
        drift=Drift(targets, folder=settings.deployments_dir, host=host),
    )
    return Deploying(
        handlers=(DeployHandler(handling, ender), StopHandler(handling)),
        presence=presence,
        watch=watch,
        cluster_watch=clustering.watch if clustering else None,
    )


def _launcher(platform: Platform, own: WorkerSettings, targets: Targets, images: VerifiedImages, host: str) -> Launcher:
    db, clock = platform.db, platform.clock
    keys = KeyService(db, clock, KeyAuthenticator(db, clock, cache_seconds=0))
    return Launcher(
        db,
        platform.store,
        platform.keys,
        clock,
        images=images,
        starter=Starter(ProbeKeys(keys, clock), ready_seconds=own.deployments.ready_seconds),
        targets=targets,
        folder=platform.settings.deployments_dir,
        host=host,
    )


def _targets(settings: Settings, own: WorkerSettings) -> Targets:
    folder, trust = settings.deployments_dir, settings.keys_dir / "trust"
    url, grace = _registry_url(settings, own), own.deployments.grace_seconds
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
    if (lacking := podman.missing()) is not None:
        return Targets(present=present, absent={TargetKind.PODMAN: lacking})
    return Targets(present={**present, TargetKind.PODMAN: podman})


def _restarts(own: WorkerSettings) -> RestartPolicy:
    deployments = own.deployments
    return RestartPolicy(
        most=deployments.restarts,
        window_seconds=deployments.restart_window_seconds,
        pause_seconds=deployments.restart_pause_seconds,
    )


def _lacking(own: WorkerSettings) -> str:
    """Why this worker has no cluster; "" if it has one."""
    if own.kubernetes.namespace is not None and own.deployments.registry_url is None:
        return "FUROSHIKI_DEPLOYMENTS__REGISTRY_URL is not set: where pods, which check keys, reach this registry"
    return missing(own.kubernetes) or ""


def _registry_url(settings: Settings, own: WorkerSettings) -> str:
    """Where deployments check keys: as the setting says, or where the registry listens, as this machine can reach it."""
    if own.deployments.registry_url is not None:
        return own.deployments.registry_url
    http = settings.http
    host = LOOPBACK if http.host in _ANY_ADDRESS else http.host
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{http.port}"
