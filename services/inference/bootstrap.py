# SPDX-License-Identifier: Apache-2.0
"""Wiring: from settings to the parts of the application. The only module that knows every implementation."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version

import psutil

from artifacts.keys.file import FileTrust
from artifacts.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, Manifest
from artifacts.signing.policy import Subject
from artifacts.signing.verifier import BundleVerifier
from artifacts.source import DirectorySource
from core.clock import Clock, SystemClock
from core.errors import ErrorCode, InitError, SignatureError
from runners.batching.policy import BatchLimits
from runners.cache import ModelCache
from runners.interface import RunnerOptions
from services.dataplane.catalog.bundle import BundleCatalog
from services.dataplane.catalog.interface import Catalog
from services.dataplane.catalog.registry import RegistryCatalog
from services.dataplane.infer import DataPlane
from services.dataplane.loading import ModelLoader
from services.dataplane.meters import Meters
from services.dataplane.registry import RegistryGateway
from services.edge.access_log import AccessLog
from services.edge.auth import Authenticator, OpenAuth, RegistryAuth
from services.edge.limits import EdgeLimits
from services.inference.app import Parts
from services.inference.settings import InferenceSettings
from services.rest_v1.routes import RestV1
from services.rest_v2.routes import RestV2


async def build(settings: InferenceSettings) -> Parts:
    """Makes the parts; in bundle mode the model is verified and loaded when this returns.

    Raises:
        InitError: ``INIT_*`` if the settings do not fit together or an open service would be reachable from outside.
        SignatureError: ``SIGN_*`` if the bundle does not verify.
    """
    clock = SystemClock()
    gateway = _gateway(settings)
    loader = ModelLoader(
        clock=clock,
        options=RunnerOptions(threads=settings.runner.threads, instances=settings.runner.instances),
        limits=_batch_limits(settings),
    )
    meters = Meters()
    catalog: Catalog
    if settings.source == "bundle":
        tenant, catalog = await _bundle_catalog(settings, loader)
    else:
        tenant = settings.auth.open_tenant
        catalog = RegistryCatalog(
            _needed(gateway, "FUROSHIKI_SOURCE=registry"),
            trust=FileTrust(settings.trust.dir),
            loader=loader,
            cache=ModelCache(capacity=settings.cache.bytes, on_close=meters.forget),
            clock=clock,
            fresh_s=settings.registry.fresh_s,
            grace_s=settings.registry.grace_s,
            loads=settings.cache.loads,
            scratch=settings.home if os.access(settings.home, os.W_OK | os.X_OK) else None,
        )
    plane = DataPlane(catalog, meters)
    limits = EdgeLimits(**settings.limits.model_dump())
    return Parts(
        plane=plane,
        authenticator=_authenticator(settings, gateway, tenant, clock),
        edges=(RestV2(plane, limits=limits, version=_version()), RestV1(plane, limits=limits)),
        access_log=AccessLog(clock=clock, enabled=settings.log.access),
        limits=limits,
        metrics_open=settings.metrics.open,
    )


def preflight(settings: InferenceSettings) -> None:
    """Verifies the bundle without keeping it; for the supervisor, before it starts workers.

    Raises:
        SignatureError: ``SIGN_*`` if the bundle does not verify.
    """
    if settings.source == "bundle":
        source, subject = _bundle(settings)
        policy = FileTrust(settings.trust.dir).policy(subject.tenant)
        BundleVerifier(policy=policy, clock=SystemClock()).verify(source, subject=subject, retain=False)


def _batch_limits(settings: InferenceSettings) -> BatchLimits:
    """With a registry several tenants share this process, and how long a batch takes is up to the tenant's model and
    input: run on the event loop, one tenant's batch would hold up the requests of all."""
    limits = BatchLimits(**settings.batching.model_dump())
    return replace(limits, inline_below_s=0.0) if settings.source == "registry" else limits


async def _bundle_catalog(settings: InferenceSettings, loader: ModelLoader) -> tuple[str, Catalog]:
    source, subject = _bundle(settings)
    policy = FileTrust(settings.trust.dir).policy(subject.tenant)
    return subject.tenant, BundleCatalog(await loader.load(source, subject=subject, policy=policy))


def _bundle(settings: InferenceSettings) -> tuple[DirectorySource, Subject]:
    """The bundle and what it claims to be; the verifier then holds it to that claim under the tenant's own keys."""
    source = DirectorySource(settings.bundle.path)
    try:
        with source.open(MANIFEST_NAME) as file:
            claimed = Manifest.from_bytes(file.read(MAX_MANIFEST_BYTES + 1))
    except OSError as error:
        raise SignatureError(
            ErrorCode.FILE_MISSING, f"The bundle has no readable {MANIFEST_NAME}.", log_context={"cause": repr(error)}
        ) from None
    subject = Subject(tenant=claimed.tenant, model=claimed.model, version=claimed.version, variant=claimed.variant)
    return source, subject


def _gateway(settings: InferenceSettings) -> RegistryGateway | None:
    url = settings.registry.url
    if url is None:
        return None
    return RegistryGateway(
        url,
        api_key=_own_key(settings),
        timeout_s=settings.registry.timeout_s,
        patience_s=settings.registry.patience_s,
    )


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


def _authenticator(
    settings: InferenceSettings, gateway: RegistryGateway | None, tenant: str, clock: Clock
) -> Authenticator:
    if settings.auth.mode == "open":
        _require_loopback()
        return OpenAuth(tenant)
    return RegistryAuth(
        _needed(gateway, "FUROSHIKI_AUTH__MODE=api_key"),
        clock=clock,
        fresh_s=settings.registry.fresh_s,
        grace_s=settings.registry.grace_s,
    )


def _require_loopback() -> None:
    """An open service answers anybody who reaches it, so it may be reached from this machine only."""
    for connection in psutil.Process().net_connections(kind="inet"):
        if connection.status == psutil.CONN_LISTEN and not ipaddress.ip_address(connection.laddr.ip).is_loopback:
            raise InitError(
                ErrorCode.INIT_FAILED,
                f"FUROSHIKI_AUTH__MODE: got 'open' while listening on {connection.laddr.ip}; an open service only "
                "listens on loopback. Bind to 127.0.0.1 or use 'api_key'.",
            )


def _version() -> str:
    try:
        return version("furoshiki")
    except PackageNotFoundError:
        return "unknown"
