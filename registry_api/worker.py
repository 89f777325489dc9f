# SPDX-License-Identifier: Apache-2.0
"""The worker process: takes jobs, runs the handler of their kind, watches over what it deployed.

The only place that knows which handler does which kind of job. Any number of workers may share a database; SIGTERM and
SIGINT let running jobs end or give them back, and leave deployments running.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass
from uuid import uuid4

from prometheus_client import start_http_server

from converters.environments import onnx2tf
from converters.parity.report import Report
from registry_api.bootstrap.coordination import coordinated
from registry_api.bootstrap.platform import Platform, address_policy, open_platform, secret_keeper, tenant_blobs
from registry_api.builds.builder import BentoBuilder, BuildOptions
from registry_api.builds.context import LOCKS, TFLITE, Blueprint
from registry_api.builds.handler import BuildHandler
from registry_api.builds.wheel import WheelCache
from registry_api.conversions.child import ConvertLimits
from registry_api.conversions.handler import ConvertHandler, ConvertOptions
from registry_api.deployments.credentials import ProbeKeys
from registry_api.deployments.deploying import DeployHandler, DeployOptions
from registry_api.deployments.process import LOOPBACK, ProcessOptions, ProcessTarget
from registry_api.deployments.starting import Starter
from registry_api.deployments.stopping import StopHandler
from registry_api.deployments.watch import DeploymentWatch
from registry_api.jobs.interface import JobHandler
from registry_api.jobs.lease import LeasePolicy
from registry_api.jobs.process import INSTALLATION
from registry_api.jobs.queue import JobQueue
from registry_api.jobs.service import JobService
from registry_api.jobs.worker import Worker
from registry_api.settings.registry import Settings
from registry_api.settings.worker import WorkerSettings
from registry_api.tenancy.authenticator import KeyAuthenticator
from registry_api.tenancy.keys import KeyService
from registry_api.tunings.child import MeasureLimits
from registry_api.tunings.handler import TuneHandler, TuneOptions
from registry_api.webhooks.deliveries.courier import Courier, CourierOptions
from registry_api.webhooks.deliveries.sending import Sender

_ANY_ADDRESS = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared with, never bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """The parts of a worker."""

    worker: Worker
    watch: DeploymentWatch
    courier: Courier


async def run(settings: Settings) -> None:
    """Works until SIGINT or SIGTERM.

    Raises:
        InitError: ``INIT_*`` if the worker cannot start as configured.
    """
    own = WorkerSettings.read()
    async with open_platform(settings) as platform, coordinated(settings.redis, platform.clock):
        if own.worker.metrics_port is not None:
            start_http_server(own.worker.metrics_port, addr=own.worker.metrics_host)
        place = assemble(platform, own)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, place.worker.stop)
        beside = (
            asyncio.create_task(place.watch.run(every=own.deployments.watch_seconds)),
            asyncio.create_task(place.courier.run()),
        )
        try:
            await place.worker.run()
        finally:
            for task in beside:
                task.cancel()
            for task in beside:
                with suppress(asyncio.CancelledError):
                    await task


def assemble(platform: Platform, own: WorkerSettings) -> Workplace:
    """A worker on an open platform."""
    jobs = platform.settings.jobs
    policy = LeasePolicy(
        seconds=jobs.lease_seconds,
        heartbeat_seconds=jobs.heartbeat_seconds,
        max_attempts=jobs.max_attempts,
        log_bytes=jobs.log_bytes,
    )
    owner = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
    target = ProcessTarget(_process_options(platform.settings, own))
    handlers = _handlers(platform, own, target)
    worker = Worker(
        JobQueue(platform.db, platform.clock, policy, owner=owner),
        {handler.kind: handler for handler in handlers},
        platform.clock,
        slots=own.worker.slots,
        poll_seconds=jobs.poll_seconds,
        drain_seconds=own.worker.drain_seconds,
    )
    watch = DeploymentWatch(
        platform.db,
        platform.clock,
        target=target,
        folder=platform.settings.deployments_dir,
        host=socket.gethostname(),
    )
    return Workplace(worker=worker, watch=watch, courier=_courier(platform))


def _courier(platform: Platform) -> Courier:
    webhooks = platform.settings.webhooks
    sender = Sender(
        address_policy(platform.settings),
        platform.clock,
        timeout_seconds=webhooks.timeout_seconds,
        response_bytes=webhooks.response_bytes,
    )
    options = CourierOptions(
        concurrent=webhooks.concurrent,
        per_webhook=webhooks.per_webhook,
        timeout_seconds=webhooks.timeout_seconds,
        retry_hours=webhooks.retry_hours,
        disable_hours=webhooks.disable_hours,
        poll_seconds=webhooks.poll_seconds,
    )
    return Courier(platform.db, platform.clock, sender, secret_keeper(platform), options=options)


def _handlers(platform: Platform, own: WorkerSettings, target: ProcessTarget) -> tuple[JobHandler, ...]:
    settings, db, clock = platform.settings, platform.db, platform.clock
    keys = KeyService(db, clock, KeyAuthenticator(db, clock, cache_seconds=0))
    deploying = DeployHandler(
        db,
        platform.store,
        platform.keys,
        clock,
        starter=Starter(target, ProbeKeys(keys, clock), ready_seconds=own.deployments.ready_seconds),
        target=target,
        options=DeployOptions(folder=settings.deployments_dir, timeout_seconds=own.deployments.timeout_seconds),
    )
    stopping = StopHandler(
        db,
        clock,
        jobs=JobService(db, clock, max_attempts=settings.jobs.max_attempts, queued=settings.jobs.queued),
        target=target,
        folder=settings.deployments_dir,
        host=socket.gethostname(),
        timeout=own.deployments.timeout_seconds,
    )
    working = (_build_handler(platform, own), _tune_handler(platform, own), _convert_handler(platform, own))
    return *working, deploying, stopping


def _tune_handler(platform: Platform, own: WorkerSettings) -> TuneHandler:
    limits = MeasureLimits(budget_seconds=own.tunings.budget_seconds, memory_bytes=own.tunings.memory_bytes)
    options = TuneOptions(
        scratch=platform.settings.scratch_dir / "tunings", limits=limits, timeout_seconds=own.tunings.timeout_seconds
    )
    return TuneHandler(platform.db, platform.store, platform.keys, platform.clock, options=options)


def _convert_handler(platform: Platform, own: WorkerSettings) -> ConvertHandler:
    settings = platform.settings
    limits = ConvertLimits(
        budget_seconds=own.conversions.budget_seconds,
        memory_bytes=own.conversions.memory_bytes,
        state=onnx2tf.state_folder() if onnx2tf.python() else settings.home.resolve() / "converters",
    )
    options = ConvertOptions(
        scratch=settings.scratch_dir / "conversions",
        limits=limits,
        picture=_picture,
        timeout_seconds=own.conversions.timeout_seconds,
    )
    blobs = tenant_blobs(platform)
    return ConvertHandler(platform.db, platform.store, platform.keys, platform.clock, blobs=blobs, options=options)


def _picture(report: Report) -> bytes:
    """Imported here only: a worker that converts nothing need not carry it."""
    from converters.parity.picture import picture

    return picture(report)


def _build_handler(platform: Platform, own: WorkerSettings) -> BuildHandler:
    settings = platform.settings
    options = BuildOptions(
        bentoml_home=settings.bentoml_home,
        scratch=settings.scratch_dir / "builds",
        timeout_seconds=own.builds.timeout_seconds,
        memory_bytes=own.builds.memory_bytes,
        blueprint=Blueprint(runtimes={**LOCKS, "tflite": TFLITE[own.builds.tflite]}),
    )
    wheels = WheelCache(INSTALLATION / "sdk", settings.home.resolve() / "wheels")
    builder = BentoBuilder(platform.store, platform.keys, platform.clock, wheels=wheels, options=options)
    return BuildHandler(platform.db, platform.store, platform.keys, platform.clock, builder=builder, options=options)


def _process_options(settings: Settings, own: WorkerSettings) -> ProcessOptions:
    http = settings.http
    host = LOOPBACK if http.host in _ANY_ADDRESS else http.host
    shown = f"[{host}]" if ":" in host else host
    return ProcessOptions(
        trust_dir=settings.keys_dir / "trust",
        registry_url=own.deployments.registry_url or f"http://{shown}:{http.port}",
        grace_seconds=own.deployments.grace_seconds,
    )
