# SPDX-License-Identifier: Apache-2.0
"""Routes of tokens and logins. Credentials travel in headers only, never in a body or an address."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter
from fastapi.responses import Response

from core.errors import ErrorCode as E
from registry_api.http.access import Action
from registry_api.http.auth import Caller, Principal, allowed, public
from registry_api.http.problem import operational_problems, problems
from registry_api.http.services import provided
from registry_api.tenancy.tokens.local import TokenService
from registry_api.tenancy.tokens.schemas import (
    KeySetOut,
    LoginOut,
    LoginProviders,
    RotationIn,
    TokenIn,
    TokenKeyOut,
    TokenOut,
)

Tokens: TypeAlias = Annotated[TokenService, provided(TokenService)]
Logins: TypeAlias = Annotated[LoginProviders, provided(LoginProviders)]
PlatformAdmin: TypeAlias = Annotated[Principal, allowed(Action.TENANTS_MANAGE)]

router: Final = APIRouter(tags=["tokens"])


@router.post(
    "/tokens",
    status_code=201,
    summary="Exchange a key, or a token of an OpenID provider, for a short-lived token",
    description=(
        "The token allows what its maker may, or less. It ends with the credential it was made with, at the latest; one made "
        "with a key stops within seconds after the key is revoked. It is in this response and nowhere else."
    ),
    responses=problems(),
)
async def create_token(caller: Caller, body: TokenIn, tokens: Tokens) -> TokenOut:
    roles = None if body.roles is None else frozenset(body.roles)
    lifetime = None if body.lifetime_seconds is None else timedelta(seconds=body.lifetime_seconds)
    return TokenOut.of(await tokens.issue(caller, roles=roles, lifetime=lifetime))


@router.post(
    "/token-keys/rotate",
    status_code=201,
    summary="Replace the key that signs tokens",
    responses=problems(),
)
async def rotate_token_key(caller: PlatformAdmin, body: RotationIn, tokens: Tokens) -> TokenKeyOut:
    return TokenKeyOut(kid=await tokens.rotate_key(caller, revoke=body.revoke))


@router.get(
    "/jwks",
    summary="The keys that the registry's tokens are checked with",
    dependencies=[public()],
    response_class=Response,
    responses={
        200: {"model": KeySetOut, "description": "A JSON Web Key Set."},
        **operational_problems(E.STORE_UNAVAILABLE),
    },
)
async def get_jwks(tokens: Tokens) -> Response:
    return Response(await tokens.key_set(), media_type="application/json", headers={"Cache-Control": "max-age=60"})


@router.get(
    "/login",
    summary="How people log in from the command line",
    dependencies=[public()],
    responses=operational_problems(),
)
async def get_login(providers: Logins) -> LoginOut:
    return LoginOut.of(providers)
