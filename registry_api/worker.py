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
from converters.parity.picture import picture
from registry_api.bootstrap.coordination import coordinated
from registry_api.bootstrap.deploying import open_deploying
from registry_api.bootstrap.platform import Platform, address_policy, open_platform, secret_keeper, tenant_blobs
from registry_api.builds.builder import BentoBuilder, BuildOptions
from registry_api.builds.context import LOCKS, TFLITE, Blueprint
from registry_api.builds.handler import BuildHandler
from registry_api.builds.wheel import WheelCache
from registry_api.conversions.child import ConvertLimits
from registry_api.conversions.handler import ConvertHandler, ConvertOptions
from registry_api.deployments.clusters.watch import ClusterWatch
from registry_api.deployments.machines.presence import Presence
from registry_api.deployments.watch import DeploymentWatch
from registry_api.images.child import BuildLimits
from registry_api.images.handler import ImageHandler, ImageOptions
from registry_api.jobs.interface import JobHandler
from registry_api.jobs.lease import LeasePolicy
from registry_api.jobs.process import INSTALLATION
from registry_api.jobs.queue import JobQueue
from registry_api.jobs.worker import Worker
from registry_api.products.handler import Tools
from registry_api.settings.registry import Settings
from registry_api.settings.worker import WorkerSettings
from registry_api.tunings.child import MeasureLimits
from registry_api.tunings.handler import TuneHandler, TuneOptions
from registry_api.webhooks.deliveries.courier import Courier, CourierOptions
from registry_api.webhooks.deliveries.sending import Sender


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """The parts of a worker."""

    worker: Worker
    presence: Presence
    watch: DeploymentWatch
    cluster_watch: ClusterWatch | None  # None: this worker has no cluster
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
        watches = [watch for watch in (place.presence, place.watch, place.cluster_watch) if watch is not None]
        beside = (
            *(asyncio.create_task(watch.run(every=own.deployments.watch_seconds)) for watch in watches),
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
    deploying = open_deploying(platform, own)
    handlers = (*_handlers(platform, own), *deploying.handlers)
    worker = Worker(
        JobQueue(platform.db, platform.clock, policy, owner=owner),
        {handler.kind: handler for handler in handlers},
        platform.clock,
        slots=own.worker.slots,
        poll_seconds=jobs.poll_seconds,
        drain_seconds=own.worker.drain_seconds,
    )
    return Workplace(
        worker=worker,
        presence=deploying.presence,
        watch=deploying.watch,
        cluster_watch=deploying.cluster_watch,
        courier=_courier(platform),
    )


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


def _handlers(platform: Platform, own: WorkerSettings) -> tuple[JobHandler, ...]:
    return (
        _build_handler(platform, own),
        _image_handler(platform, own),
        _tune_handler(platform, own),
        _convert_handler(platform, own),
    )


def _tools(platform: Platform) -> Tools:
    return Tools(db=platform.db, store=platform.store, keys=platform.keys, clock=platform.clock)


def _tune_handler(platform: Platform, own: WorkerSettings) -> TuneHandler:
    limits = MeasureLimits(budget_seconds=own.tunings.budget_seconds, memory_bytes=own.tunings.memory_bytes)
    options = TuneOptions(
        scratch=platform.settings.scratch_dir / "tunings", limits=limits, timeout_seconds=own.tunings.timeout_seconds
    )
    return TuneHandler(_tools(platform), options=options)


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
        picture=picture,
        timeout_seconds=own.conversions.timeout_seconds,
    )
    return ConvertHandler(_tools(platform), blobs=tenant_blobs(platform), options=options)


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
    return BuildHandler(_tools(platform), builder=builder, blobs=tenant_blobs(platform), options=options)


def _image_handler(platform: Platform, own: WorkerSettings) -> ImageHandler:
    settings, images = platform.settings, own.images
    kept = settings.home.resolve() / "images"
    options = ImageOptions(
        scratch=settings.scratch_dir / "images",
        cache=kept / "cache",
        bases=kept / "bases",
        own_bases=None if images.bases is None else images.bases.resolve(),
        mirror=images.mirror,
        cache_bytes=images.cache_bytes,
        co_sign=settings.keys.co_sign,
        limits=BuildLimits(memory_bytes=images.memory_bytes),
        timeout_seconds=images.timeout_seconds,
    )
    return ImageHandler(_tools(platform), blobs=tenant_blobs(platform), options=options)
