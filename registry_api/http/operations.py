# SPDX-License-Identifier: Apache-2.0
"""Routes for whoever runs the registry: alive, ready, metrics. They need no credential and show no tenant's data."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from artifacts.stores.interface import BlobStore
from core.errors import ErrorCode
from registry_api.db.session import Database
from registry_api.http.auth import public
from registry_api.http.fields import Outgoing
from registry_api.http.problem import operational_problems
from registry_api.http.services import provided

Db: TypeAlias = Annotated[Database, provided(Database)]
Store: TypeAlias = Annotated[BlobStore, provided(BlobStore)]

_PROBE_TENANT: Final = "default"
_PROBE_DIGEST: Final = "sha256:" + "0" * 64  # asking for a blob that is not there is enough

router: Final = APIRouter(tags=["operations"], dependencies=[public()])


class Health(Outgoing):
    """The answer of a service that is well."""

    status: Literal["ok"] = "ok"


@router.get("/healthz", summary="Is the process alive", responses=operational_problems())
async def healthz() -> Health:
    return Health()


@router.get(
    "/readyz", summary="Do database and store answer", responses=operational_problems(ErrorCode.STORE_UNAVAILABLE)
)
async def readyz(db: Db, store: Store) -> Health:
    await db.ping()
    await store.size(_PROBE_TENANT, _PROBE_DIGEST)
    return Health()


@router.get(
    "/metrics",
    summary="Metrics in the Prometheus text format",
    response_class=Response,
    responses={
        200: {"description": "Metrics.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **operational_problems(),
    },
)
async def metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
