# SPDX-License-Identifier: Apache-2.0
"""Wiring of admission: from settings to who may come in, and how much each tenant may use.

What checks tokens and what shares limits through Redis is imported only where it is asked for: together they are 20 MB.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

import psutil

from artifacts.tokens.keysource import FileSource, KeySource, UrlSource, allowed
from core.clock import Clock
from core.errors import ErrorCode, InitError
from services.dataplane.gate import Gate
from services.dataplane.quota.alone import Alone
from services.dataplane.quota.interface import Sharing
from services.dataplane.registry import RegistryGateway
from services.edge.auth import Authenticator, Directory, OpenAuth, RememberedAuth
from services.edge.context import TenantLimits
from services.inference.coordination import Coordination
from services.inference.settings import InferenceSettings, TokenIssuer


def authenticator_of(
    settings: InferenceSettings, gateway: RegistryGateway | None, *, tenant: str, clock: Clock
) -> Authenticator:
    """Who is asked whose a request is.

    Args:
        settings: All.
        gateway: The registry, where there is one.
        tenant: Whose models an open service serves.
        clock: For how long answers are used.

    Raises:
        InitError: ``INIT_*`` if the settings do not fit together or an open service would be reachable from outside.
    """
    if settings.auth.mode == "open":
        _require_loopback()
        return OpenAuth(tenant)
    return RememberedAuth(
        _directory(settings, gateway, clock),
        clock=clock,
        fresh_s=settings.registry.fresh_s,
        grace_s=settings.registry.grace_s,
    )


async def gate_of(settings: InferenceSettings, coordination: Coordination, *, clock: Clock) -> Gate:
    """The gate; with Redis, limits are shared from the first request on.

    Args:
        settings: All.
        coordination: How processes reach each other.
        clock: For the refilling.
    """
    quota = settings.quota
    defaults = TenantLimits(
        requests_per_second=quota.requests_per_second,
        burst=quota.burst,
        concurrent_requests=quota.concurrent_requests,
        requests_per_hour=quota.requests_per_hour,
        requests_per_day=quota.requests_per_day,
    )
    return Gate(defaults, sharing=await _sharing(settings, coordination, clock), clock=clock)


async def _sharing(settings: InferenceSettings, coordination: Coordination, clock: Clock) -> Sharing:
    quota = settings.quota
    processes = quota.processes or settings.http.workers
    if coordination.link is None:
        return Alone(processes)
    from services.dataplane.quota.shared import SharedThroughRedis

    sharing = SharedThroughRedis(
        coordination.link,
        processes=processes,
        prefix=f"{settings.redis.prefix}:quota",
        clock=clock,
        rates_shut=quota.rates_without_redis == "refuse",
        windows_shut=quota.windows_without_redis == "refuse",
    )
    await sharing.start()
    return sharing


def _directory(settings: InferenceSettings, gateway: RegistryGateway | None, clock: Clock) -> Directory:
    mode = settings.auth.mode
    if mode != "jwt" and gateway is None:
        raise InitError(
            ErrorCode.SETTING_INVALID,
            f"FUROSHIKI_REGISTRY__URL: not set; FUROSHIKI_AUTH__MODE={mode} needs the registry's URL.",
        )
    if mode == "api_key" and gateway is not None:
        return gateway
    tokens = _tokens(settings, gateway, clock)
    if mode == "jwt" or gateway is None:
        return tokens
    from services.edge.auth.either import EitherDirectory

    return EitherDirectory(api_keys=gateway, tokens=tokens)


def _tokens(settings: InferenceSettings, gateway: RegistryGateway | None, clock: Clock) -> Directory:
    from artifacts.tokens.keyset import KeySet, Patience
    from services.edge.auth.tenants import Records, RememberedTenants, SameForAll
    from services.edge.auth.tokens import Issuer, TokenDirectory

    jwt, registry = settings.jwt, settings.registry
    patience = Patience(fresh_s=jwt.fresh_s, grace_s=jwt.grace_s, refetch_s=jwt.refetch_s)
    if not jwt.issuers:
        raise InitError(
            ErrorCode.SETTING_INVALID,
            f"FUROSHIKI_JWT__ISSUERS: not set; FUROSHIKI_AUTH__MODE={settings.auth.mode} needs at least one issuer: "
            "FUROSHIKI_JWT__ISSUERS__<NAME>__ISSUER, …__AUDIENCE and …__JWKS.",
        )
    issuers = [
        Issuer(
            name=name,
            issuer=given.issuer,
            audiences=frozenset({given.audience}),
            keys=KeySet(_source(name, given, jwt.timeout_s), name=name, clock=clock, patience=patience),
            algorithms=frozenset(given.algorithms),
            tenants=frozenset(given.tenants),
            tenant_claim=given.tenant_claim,
            scope_claim=given.scope_claim,
            leeway_s=given.leeway_s,
        )
        for name, given in jwt.issuers.items()
    ]
    if len({issuer.issuer for issuer in issuers}) < len(issuers):
        raise InitError(ErrorCode.SETTING_INVALID, "FUROSHIKI_JWT__ISSUERS: two issuers have the same ISSUER.")
    tenants: Records = SameForAll()
    if gateway is not None and registry.api_key_file is not None:
        tenants = RememberedTenants(gateway.tenant, clock=clock, fresh_s=registry.fresh_s / 2, grace_s=registry.grace_s)
    return TokenDirectory(issuers, tenants=tenants, clock=clock)


def _source(name: str, issuer: TokenIssuer, timeout_s: float) -> KeySource:
    if "://" not in issuer.jwks:
        path = Path(issuer.jwks)
        if not path.is_file():
            raise _wrong_keys(name, issuer, "expected a file that exists, or an https:// URL")
        return FileSource(path)
    if not allowed(issuer.jwks):
        raise _wrong_keys(name, issuer, "expected an https:// URL; http:// only on this machine")
    return UrlSource(issuer.jwks, timeout_s=timeout_s)


def _wrong_keys(name: str, issuer: TokenIssuer, expected: str) -> InitError:
    return InitError(
        ErrorCode.SETTING_INVALID, f"FUROSHIKI_JWT__ISSUERS__{name.upper()}__JWKS: got {issuer.jwks!r}; {expected}."
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
