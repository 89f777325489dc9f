# SPDX-License-Identifier: Apache-2.0
"""Wiring: from settings to the parts of the application. The only module that knows every implementation."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version

from artifacts.keys.file import FileTrust
from artifacts.signing.verifier import BundleVerifier
from core.clock import Clock, ForwardClock, SystemClock
from core.errors import ErrorCode, InitError
from runners.batching.policy import BatchLimits
from runners.bundles import ModelLoader, claimed, load_bundle, loader_of
from runners.cache import ModelCache
from runners.loading import CPU, backends
from runners.remote.handle import attach
from runners.remote.place import socket_path
from services.dataplane.catalog.bundle import BundleCatalog
from services.dataplane.catalog.interface import Catalog
from services.dataplane.catalog.registry import RegistryCatalog
from services.dataplane.forms import Preference
from services.dataplane.infer import DataPlane
from services.dataplane.meters import Meters
from services.dataplane.registry import RegistryGateway
from services.dataplane.requestlog.delivery import Delivery
from services.dataplane.requestlog.interface import Sink
from services.dataplane.requestlog.log import RequestLog
from services.dataplane.requestlog.sinks import FileSink, RegistrySink
from services.dataplane.trust.live import LiveTrust
from services.dataplane.trust.seen import SeenPolicies
from services.dataplane.trust.watch import TrustWatch
from services.edge.access_log import AccessLog
from services.edge.limits import EdgeLimits
from services.inference.admission import authenticator_of, gate_of
from services.inference.app import Parts
from services.inference.coordination import coordination_of
from services.inference.scratch import scratch_folder
from services.inference.settings import InferenceSettings
from services.rest_v1.routes import RestV1
from services.rest_v2.routes import RestV2
from services.shared_memory.regions import RegionLimits, Regions


async def build(settings: InferenceSettings) -> Parts:
    """Makes the parts; in bundle mode the model is verified and loaded when this returns, here or in the runner.

    Raises:
        InitError: ``INIT_*`` if the settings do not fit together or an open service would be reachable from outside.
        SignatureError: ``SIGN_*`` if the bundle does not verify.
    """
    _check_topology(settings)
    clock = ForwardClock(SystemClock())
    gateway = _gateway(settings)
    trust = trust_of(settings, gateway, clock)
    loader = loader_of(settings, limits=_batch_limits(settings))
    meters = Meters()
    coordination = coordination_of(settings, clock=clock)
    catalog: Catalog
    if settings.source == "bundle":
        tenant, catalog = await _bundle_catalog(settings, loader, meters, trust)
    else:
        tenant = settings.auth.open_tenant
        catalog = served = RegistryCatalog(
            _needed(gateway, "FUROSHIKI_SOURCE=registry"),
            trust=trust,
            loader=loader,
            cache=ModelCache(capacity=settings.cache.bytes, on_close=meters.forget),
            clock=clock,
            fresh_s=settings.registry.fresh_s,
            grace_s=settings.registry.grace_s,
            loads=settings.cache.loads,
            scratch=scratch_folder(settings.cache.scratch, settings.home),
            turns=coordination.turns,
            hosts=settings.cache.hosts,
            refuse_after_sunset=settings.registry.sunset == "refuse",
        )
        coordination.listen(served.forget)
    watch = TrustWatch(trust, catalog, every_s=settings.trust.watch_s)
    await watch.look()  # nothing is answered before it
    authenticator = authenticator_of(settings, gateway, tenant=tenant, clock=clock)
    request_log = _request_log(settings)
    plane = DataPlane(
        catalog,
        await gate_of(settings, coordination, clock=clock),
        meters,
        control=_control(settings),
        log=None if request_log is None else request_log.log,
    )
    regions = _regions(settings)
    limits = EdgeLimits(**settings.limits.model_dump())
    return Parts(
        plane=plane,
        authenticator=authenticator,
        edges=(RestV2(plane, limits=limits, version=server_version(), regions=regions), RestV1(plane, limits=limits)),
        access_log=AccessLog(clock=clock, enabled=settings.log.access),
        request_log=request_log,
        limits=limits,
        regions=regions,
        metrics_open=settings.metrics.open,
        watch=watch,
        coordination=coordination,
    )


def trust_of(settings: InferenceSettings, gateway: RegistryGateway | None, clock: Clock) -> LiveTrust:
    """Whom the tenants trust: the operator's files and, with a key of this service's own, the registry."""
    asked = settings.registry.api_key_file is not None and settings.trust.registry != "ignore"
    return LiveTrust(
        FileTrust(settings.trust.dir),
        SeenPolicies(settings.trust.seen_dir or settings.home / "trust-seen"),
        clock=clock,
        ask=gateway.trust if gateway is not None and asked else None,
        supply=settings.trust.registry == "supply",
        fresh_s=settings.trust.watch_s / 2,
    )


def _request_log(settings: InferenceSettings) -> Delivery | None:
    """None if there is nowhere to deliver to."""
    wanted = settings.request_log
    sink: Sink
    if wanted.file is not None:
        sink = FileSink(wanted.file)
    elif settings.registry.url is not None and (key := _own_key(settings)) is not None:
        sink = RegistrySink(settings.registry.url, api_key=key, timeout_s=settings.registry.timeout_s)
    elif wanted.share:
        raise _not_set(
            "FUROSHIKI_REQUEST_LOG__FILE",
            "FUROSHIKI_REQUEST_LOG__SHARE needs a file, or a registry: FUROSHIKI_REGISTRY__URL and __API_KEY_FILE",
        )
    else:
        return None
    return Delivery(RequestLog(share=wanted.share, capacity=wanted.capacity), sink, flush_s=wanted.flush_s)


def preflight(settings: InferenceSettings) -> None:
    """Verifies the bundle without keeping it; for the supervisor, before it starts workers.

    Raises:
        SignatureError: ``SIGN_*`` if the bundle does not verify.
    """
    if settings.source == "bundle":
        source, subject = claimed(settings.bundle.path)
        policy = FileTrust(settings.trust.dir).policy(subject.tenant)
        BundleVerifier(policy=policy, clock=SystemClock()).verify(source, subject=subject, retain=False)


def _batch_limits(settings: InferenceSettings) -> BatchLimits:
    """With a registry several tenants share this process, and how long a batch takes is up to the tenant's model and
    input: run on the event loop, one tenant's batch would hold up the requests of all."""
    limits = BatchLimits(**settings.batching.model_dump())
    return replace(limits, inline_below_s=0.0) if settings.source == "registry" else limits


def _control(settings: InferenceSettings) -> bool:
    """A service of one bundle is there for that bundle; callers of a registry's service only decide what is in memory."""
    wanted = settings.repository.control
    return settings.source == "registry" if wanted is None else wanted


def _regions(settings: InferenceSettings) -> Regions:
    limits = RegionLimits(**settings.shared_memory.model_dump())
    return Regions(limits, own_keys=settings.source == "registry")


async def _bundle_catalog(
    settings: InferenceSettings, loader: ModelLoader, meters: Meters, trust: LiveTrust
) -> tuple[str, Catalog]:
    if settings.is_split:
        loaded = await attach(
            socket_path(settings.split.socket_dir),
            limits=settings.split.wire,
            max_wait_s=settings.batching.max_wait_s,
            within_s=settings.split.start_s,
        )
        return loaded.tenant, BundleCatalog(loaded, trust=trust)
    load = partial(load_bundle, settings, loader, trust)
    loaded = await load()
    return loaded.tenant, BundleCatalog(loaded, trust=trust, reload=load, on_close=meters.forget)


def _check_topology(settings: InferenceSettings) -> None:
    if settings.topology == "split" and settings.source != "bundle":
        raise InitError(
            ErrorCode.SETTING_INVALID,
            "FUROSHIKI_TOPOLOGY: got 'split' with FUROSHIKI_SOURCE=registry; expected 'embedded', or a service of one "
            "bundle: each API worker of a registry's service loads what its callers ask for.",
        )


def _gateway(settings: InferenceSettings) -> RegistryGateway | None:
    url = settings.registry.url
    if url is None:
        return None
    return RegistryGateway(
        url,
        api_key=_own_key(settings),
        timeout_s=settings.registry.timeout_s,
        patience_s=settings.registry.patience_s,
        prefers=_preference(settings),
    )


def _preference(settings: InferenceSettings) -> Preference:
    """Which form of a version is served: of those that run here, by what the operator wants."""
    device = settings.registry.device
    runs = (offer.formats for offer in backends() if offer.reason is None and offer.device in (device, CPU))
    return Preference(device=device, objective=settings.registry.objective, formats=frozenset[str]().union(*runs))


def _own_key(settings: InferenceSettings) -> str | None:
    file = settings.registry.api_key_file
    if file is None:
        if settings.source == "registry":
            raise _not_set("FUROSHIKI_REGISTRY__API_KEY_FILE", "FUROSHIKI_SOURCE=registry needs a key of scope 'serve'")
        return None
    try:
        return file.read_text().strip()
    except OSError as error:
        raise InitError(
            ErrorCode.SETTING_INVALID,
            f"FUROSHIKI_REGISTRY__API_KEY_FILE: got {str(file)!r}, which cannot be read ({error.strerror}).",
        ) from None


def _needed(gateway: RegistryGateway | None, why: str) -> RegistryGateway:
    if gateway is None:
        raise _not_set("FUROSHIKI_REGISTRY__URL", f"{why} needs the registry's URL")
    return gateway


def _not_set(variable: str, why: str) -> InitError:
    return InitError(ErrorCode.SETTING_INVALID, f"{variable}: not set; {why}.")


def server_version() -> str:
    """The product's version, as clients are told."""
    try:
        return version("furoshiki")
    except PackageNotFoundError:
        return "unknown"
