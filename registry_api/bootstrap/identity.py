# SPDX-License-Identifier: Apache-2.0
"""Wiring of identity: from settings to who may call, with a key, a token of ours, or one of an OpenID provider."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Final

from artifacts.tokens.discovery import WELL_KNOWN, DiscoveredSource
from artifacts.tokens.keeping import FileMintingKeys
from artifacts.tokens.keyset import KeySet, Patience
from artifacts.tokens.keysource import KeySource, UrlSource, allowed
from core.clock import Clock
from core.errors import ErrorCode, InitError
from registry_api.db.session import Database
from registry_api.http.auth import Authenticator
from registry_api.http.services import Services
from registry_api.settings.identity import OidcIssuer
from registry_api.settings.registry import Settings
from registry_api.tenancy.authenticator import KeyAuthenticator
from registry_api.tenancy.keys import KeyService
from registry_api.tenancy.tokens.authenticator import KeyOrToken, ReadIssuer, TokenAuthenticator
from registry_api.tenancy.tokens.local import LEEWAY_S, LocalReader, TokenService
from registry_api.tenancy.tokens.oidc import OidcReader
from registry_api.tenancy.tokens.schemas import LoginProvider, LoginProviders
from registry_api.tenancy.uses import KeyUses

_OWN_KEYS: Final = Patience(fresh_s=1.0, grace_s=0.0, refetch_s=0.5)  # they are files of ours: looking costs little
_OVERLAP_MARGIN_S: Final = 60.0  # a replaced key outlives its last token


def add_identity(services: Services, settings: Settings, db: Database, clock: Clock) -> None:
    """Registers who answers for credentials, and what makes keys and tokens.

    Raises:
        InitError: ``INIT_002`` if the settings of an OpenID provider cannot be used.
    """
    uses = KeyUses(db, clock)
    keys = KeyAuthenticator(db, clock, cache_seconds=settings.auth.cache_seconds, uses=uses)
    minting = FileMintingKeys(
        settings.token_keys_dir,
        clock=clock,
        rotate_s=settings.tokens.rotate_days * 86_400,
        overlap_s=settings.tokens.lifetime_seconds + LEEWAY_S + _OVERLAP_MARGIN_S,
    )
    issuers = [_own(settings, minting, keys, clock), *_providers(settings, clock)]
    if len({issuer.issuer for issuer in issuers}) < len(issuers):
        raise InitError(
            ErrorCode.SETTING_INVALID,
            "FUROSHIKI_OIDC__ISSUERS: two issuers have the same ISSUER, or one has FUROSHIKI_TOKENS__ISSUER.",
        )
    tokens = TokenAuthenticator(issuers, db, clock, cache_seconds=settings.auth.cache_seconds)
    services.add(Authenticator, KeyOrToken(keys=keys, tokens=tokens))  # type: ignore[type-abstract]
    services.add(KeyUses, uses)
    services.add(KeyService, KeyService(db, clock, keys))
    services.add(TokenService, _token_service(settings, minting, clock))
    services.add(LoginProviders, _logins(settings.oidc.issuers))


def _token_service(settings: Settings, minting: FileMintingKeys, clock: Clock) -> TokenService:
    tokens = settings.tokens
    lifetime = timedelta(seconds=tokens.lifetime_seconds)
    return TokenService(minting, clock, issuer=tokens.issuer, audience=tokens.audience, lifetime=lifetime)


def _own(settings: Settings, minting: FileMintingKeys, keys: KeyAuthenticator, clock: Clock) -> ReadIssuer:
    return ReadIssuer(
        name="registry",
        issuer=settings.tokens.issuer,
        audiences=frozenset({settings.tokens.audience}),
        keys=KeySet(minting, name="registry", clock=clock, patience=_OWN_KEYS),
        algorithms=frozenset({"EdDSA"}),
        leeway_s=LEEWAY_S,
        reader=LocalReader(keys),
    )


def _providers(settings: Settings, clock: Clock) -> Iterator[ReadIssuer]:
    oidc = settings.oidc
    patience = Patience(fresh_s=oidc.fresh_seconds, grace_s=oidc.grace_seconds, refetch_s=oidc.refetch_seconds)
    for name, given in oidc.issuers.items():
        source = _source(name, given, oidc.timeout_seconds)
        yield ReadIssuer(
            name=name,
            issuer=given.issuer,
            audiences=frozenset(given.audience),
            keys=KeySet(source, name=name, clock=clock, patience=patience),
            algorithms=frozenset(given.algorithms),
            leeway_s=given.leeway_seconds,
            reader=OidcReader(
                tenant=given.tenant,
                tenant_claim=given.tenant_claim,
                tenants=frozenset(given.tenants),
                roles_claim=given.roles_claim,
                roles={group: frozenset(roles) for group, roles in given.roles.items()},
            ),
        )


def _source(name: str, given: OidcIssuer, timeout_s: float) -> KeySource:
    if given.jwks is not None:
        return UrlSource(_checked(name, "JWKS", given.jwks), timeout_s=timeout_s)
    url = _checked(name, "DISCOVERY", given.discovery or given.issuer.rstrip("/") + WELL_KNOWN)
    return DiscoveredSource(issuer=given.issuer, url=url, timeout_s=timeout_s)


def _checked(name: str, setting: str, url: str) -> str:
    if not allowed(url):
        raise InitError(
            ErrorCode.SETTING_INVALID,
            f"FUROSHIKI_OIDC__ISSUERS__{name.upper()}__{setting}: got {url!r}; expected an https:// URL; "
            "http:// only on this machine.",
        )
    return url


def _logins(issuers: Mapping[str, OidcIssuer]) -> LoginProviders:
    return LoginProviders(
        providers=tuple(
            LoginProvider(name=name, issuer=given.issuer, client_id=given.client_id, scopes=given.scopes)
            for name, given in sorted(issuers.items())
            if given.client_id is not None
        )
    )
