# SPDX-License-Identifier: Apache-2.0
"""Routes of signing keys, revocation and co-signatures."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter
from fastapi.responses import Response

from core.errors import ErrorCode as E
from registry_api.http.access import Action
from registry_api.http.auth import ModelReader, Principal, allowed
from registry_api.http.fields import NamePath, VersionPath
from registry_api.http.problem import problems
from registry_api.http.services import provided
from registry_api.models.endpoints import raw
from registry_api.signing.cosigning import CoSigning
from registry_api.signing.schemas import RevocationOut, RevokeIn, RotateSigningIn, SigningKeysOut
from registry_api.signing.service import SigningService

Signing: TypeAlias = Annotated[SigningService, provided(SigningService)]
CoSigners: TypeAlias = Annotated[CoSigning, provided(CoSigning)]
Revoker: TypeAlias = Annotated[Principal, allowed(Action.VERSIONS_REVOKE)]
TrustReader: TypeAlias = Annotated[Principal, allowed(Action.TRUST_READ)]

router: Final = APIRouter(tags=["signing"])
_PEM: Final = "application/x-pem-file"
_REFUSED: Final = (E.SIGNATURE_INVALID, E.SIGNER_UNTRUSTED, E.SIGNATURE_EXPIRED, E.REVOKED)


@router.get("/signing/keys", summary="List the tenant's signing keys", responses=problems(E.TENANT_NOT_FOUND))
async def list_signing_keys(caller: TrustReader, signing: Signing) -> SigningKeysOut:
    return SigningKeysOut.of(await signing.keys(caller.tenant))


@router.post(
    "/signing/rotate",
    summary="Make a new signing key",
    description="New versions are signed with it at once. The old key stays trusted for what it has signed.",
    responses=problems(),
)
async def rotate_signing_key(caller: Revoker, body: RotateSigningIn, signing: Signing) -> SigningKeysOut:
    return SigningKeysOut.of(await signing.rotate(caller, overlap=body.overlap, reason=body.reason))


@router.post(
    "/signing/revoke",
    summary="Revoke a signing key, a version or a file, for ever",
    description="Inference services stop answering with what is revoked within five seconds.",
    responses=problems(E.KEY_NOT_FOUND, E.MODEL_NOT_FOUND),
)
async def revoke_signing(caller: Revoker, body: RevokeIn, signing: Signing) -> RevocationOut:
    return RevocationOut.of(await signing.revoke(caller, body.value(), reason=body.reason))


@router.get(
    "/signing/p256",
    summary="Download the public key of co-signatures",
    description="For `model_signing verify key`. Needs the tenant's feature `signing.p256`.",
    response_class=Response,
    responses={200: raw(_PEM), **problems(E.TENANT_NOT_FOUND)},
)
async def get_co_signing_key(caller: TrustReader, signers: CoSigners) -> Response:
    return Response((await signers.signer(caller.tenant)).public_key, media_type=_PEM)


@router.get(
    "/models/{model}/versions/{version}/co-signature",
    summary="Download a P-256 co-signature",
    description="Over the same statement as the version's signature. Needs the tenant's feature `signing.p256`.",
    response_class=Response,
    responses={
        200: raw("application/json"),
        **problems(E.TENANT_NOT_FOUND, E.MODEL_NOT_FOUND, E.BLOB_CORRUPT, *_REFUSED),
    },
)
async def get_co_signature(caller: ModelReader, model: NamePath, version: VersionPath, signers: CoSigners) -> Response:
    return Response(await signers.signature(caller.tenant, model, version), media_type="application/json")
