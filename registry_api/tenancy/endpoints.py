# SPDX-License-Identifier: Apache-2.0
"""Routes of tenants, keys, the caller and the trust policy."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter, Query
from fastapi.responses import Response

from artifacts.keys.interface import KeyProvider
from core.errors import ErrorCode as E
from registry_api.http.access import Action
from registry_api.http.auth import Caller, Principal, allowed
from registry_api.http.etags import IfMatch, tagged
from registry_api.http.fields import IdPath, Name, NamePath
from registry_api.http.pagination import Page, Paging
from registry_api.http.problem import problems
from registry_api.http.services import provided
from registry_api.tenancy.keys import KeyService
from registry_api.tenancy.schemas import (
    FeaturesIn,
    KeyIn,
    KeyOut,
    LimitsIn,
    MintedKeyOut,
    RotateIn,
    TenantIn,
    TenantOut,
    TrustOut,
    WhoAmI,
)
from registry_api.tenancy.service import TenantService
from registry_api.tenancy.values import NewKey

Tenants: TypeAlias = Annotated[TenantService, provided(TenantService)]
Keys: TypeAlias = Annotated[KeyService, provided(KeyService)]
Signing: TypeAlias = Annotated[KeyProvider, provided(KeyProvider)]
OfTenant: TypeAlias = Annotated[Name | None, Query(description="Another tenant than your own; needs `platform-admin`.")]
PlatformAdmin: TypeAlias = Annotated[Principal, allowed(Action.TENANTS_MANAGE)]
KeyManager: TypeAlias = Annotated[Principal, allowed(Action.KEYS_MANAGE)]
TrustReader: TypeAlias = Annotated[Principal, allowed(Action.TRUST_READ)]

router: Final = APIRouter()


@router.get(
    "/whoami",
    tags=["keys"],
    summary="Who the credential says you are, and what your tenant may use",
    responses=problems(E.TENANT_NOT_FOUND),
)
async def whoami(caller: Caller, tenants: Tenants) -> WhoAmI:
    return WhoAmI.of(caller, await tenants.get(caller.tenant))


@router.post(
    "/tenants",
    tags=["tenants"],
    status_code=201,
    summary="Make a tenant",
    responses=problems(E.RESOURCE_EXISTS),
)
async def create_tenant(_caller: PlatformAdmin, body: TenantIn, tenants: Tenants) -> TenantOut:
    return TenantOut.of(await tenants.create(body.name, body.display_name))


@router.get("/tenants", tags=["tenants"], summary="List tenants by name", responses=problems())
async def list_tenants(_caller: PlatformAdmin, paging: Paging, tenants: Tenants) -> Page[TenantOut]:
    return (await tenants.page(paging)).page(TenantOut.of)


@router.get("/tenants/{tenant}", tags=["tenants"], summary="Get a tenant", responses=problems(E.TENANT_NOT_FOUND))
async def get_tenant(_caller: PlatformAdmin, tenant: NamePath, tenants: Tenants) -> TenantOut:
    return TenantOut.of(await tenants.get(tenant))


@router.put(
    "/tenants/{tenant}/limits",
    tags=["tenants"],
    summary="Set how much a tenant may ask of the inference services",
    description="Replaces all limits. Inference services follow within seconds.",
    response_model=TenantOut,
    responses=problems(E.TENANT_NOT_FOUND, E.PRECONDITION_FAILED),
)
async def set_limits(
    caller: PlatformAdmin, tenant: NamePath, body: LimitsIn, match: IfMatch, tenants: Tenants
) -> Response:
    return tagged(TenantOut.of(await tenants.set_limits(caller, tenant, body.value(), match)))


@router.put(
    "/tenants/{tenant}/features",
    tags=["tenants"],
    summary="Set what is switched on and off for a tenant",
    description="Replaces all features. Inference services follow within seconds.",
    response_model=TenantOut,
    responses=problems(E.TENANT_NOT_FOUND, E.PRECONDITION_FAILED),
)
async def set_features(
    caller: PlatformAdmin, tenant: NamePath, body: FeaturesIn, match: IfMatch, tenants: Tenants
) -> Response:
    return tagged(TenantOut.of(await tenants.set_features(caller, tenant, body.value(), match)))


@router.post(
    "/keys",
    tags=["keys"],
    status_code=201,
    summary="Make an API key",
    description="The plaintext is in this response and nowhere else.",
    responses=problems(E.TENANT_NOT_FOUND),
)
async def create_key(caller: KeyManager, body: KeyIn, keys: Keys) -> MintedKeyOut:
    wanted = NewKey(
        tenant=body.tenant or caller.tenant,
        name=body.name,
        roles=frozenset(body.roles),
        expires_at=body.expires_at,
    )
    return MintedKeyOut.minted(await keys.create(caller, wanted))


@router.get("/keys", tags=["keys"], summary="List API keys in force", responses=problems())
async def list_keys(caller: KeyManager, paging: Paging, keys: Keys, tenant: OfTenant = None) -> Page[KeyOut]:
    return (await keys.page(caller, tenant, paging)).page(KeyOut.of)


@router.post(
    "/keys/{key}/rotate",
    tags=["keys"],
    status_code=201,
    summary="Give an API key a new secret",
    description=(
        "The key stays what it is. Its new plaintext is in this response and nowhere else; the one it had works for "
        "`overlap_seconds` more, the one before that stops at once."
    ),
    responses=problems(E.KEY_NOT_FOUND),
)
async def rotate_key(
    caller: KeyManager, key: IdPath, body: RotateIn, keys: Keys, tenant: OfTenant = None
) -> MintedKeyOut:
    overlap = timedelta(seconds=body.overlap_seconds)
    return MintedKeyOut.minted(await keys.rotate(caller, tenant, key, overlap=overlap))


@router.delete(
    "/keys/{key}", tags=["keys"], status_code=204, summary="Revoke an API key", responses=problems(E.KEY_NOT_FOUND)
)
async def revoke_key(caller: KeyManager, key: IdPath, keys: Keys, tenant: OfTenant = None) -> None:
    await keys.revoke(caller, tenant, key)


@router.get(
    "/trust",
    tags=["keys"],
    summary="Whose signatures the tenant trusts",
    response_class=Response,
    responses={200: {"model": TrustOut, "description": "The tenant's trust policy."}, **problems(E.TENANT_NOT_FOUND)},
)
async def get_trust(caller: TrustReader, signing: Signing, tenants: Tenants) -> Response:
    await tenants.get(caller.tenant)  # a service may act for any name; no key is made for one that is no tenant
    policy = await asyncio.to_thread(signing.policy, caller.tenant)
    return Response(policy.to_bytes(), media_type="application/json")
