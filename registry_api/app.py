# SPDX-License-Identifier: Apache-2.0
"""The registry's HTTP application: routers of all slices under ``/api/v1``, guards around them, one OpenAPI document."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute

from core.clock import Clock
from registry_api.audit import endpoints as audit_endpoints
from registry_api.builds import endpoints as builds_endpoints
from registry_api.conversions import endpoints as conversions_endpoints
from registry_api.conversions.calibrations import endpoints as calibrations_endpoints
from registry_api.conversions.variants import endpoints as variants_endpoints
from registry_api.deletion import endpoints as deletion_endpoints
from registry_api.deployments import endpoints as deployments_endpoints
from registry_api.http import operations, problem
from registry_api.http.body import BodyGuard
from registry_api.http.context import RequestContext
from registry_api.http.etags import ConditionalGets
from registry_api.http.idempotency.routes import idempotent
from registry_api.http.openapi import with_etags
from registry_api.http.services import Services
from registry_api.images import endpoints as images_endpoints
from registry_api.jobs import endpoints as jobs_endpoints
from registry_api.lineage import endpoints as lineage_endpoints
from registry_api.models import endpoints as models_endpoints
from registry_api.models.cards import endpoints as cards_endpoints
from registry_api.models.resolving import ResolveShortcut
from registry_api.models.uploads import endpoints as uploads_endpoints
from registry_api.promotion import endpoints as promotion_endpoints
from registry_api.promotion.aliases import endpoints as aliases_endpoints
from registry_api.promotion.review import endpoints as review_endpoints
from registry_api.settings.registry import HttpSettings, LimitSettings
from registry_api.signing import endpoints as signing_endpoints
from registry_api.tenancy import endpoints as tenancy_endpoints
from registry_api.tenancy.tokens import endpoints as tokens_endpoints
from registry_api.tunings import endpoints as tunings_endpoints
from registry_api.usage import endpoints as usage_endpoints
from registry_api.webhooks import endpoints as webhooks_endpoints

PREFIX: Final = "/api/v1"
VERSION: Final = "0.1.0"

_DESCRIPTION: Final = """
Tenants, API keys, models and their immutable signed versions, stages, jobs, tunings, conversions, Bento builds,
images and deployments.

Every error has the body `{"error": {code, message, retryable, request_id, details}}`; codes are stable.
Lists are paged: pass `next_cursor` as `cursor`. Times are RFC 3339 in UTC. Another tenant's resource is 404.
"""
_ROUTERS: Final = (
    tenancy_endpoints.router,
    tokens_endpoints.router,
    models_endpoints.router,
    cards_endpoints.router,
    uploads_endpoints.router,
    promotion_endpoints.router,
    aliases_endpoints.router,
    review_endpoints.router,
    audit_endpoints.router,
    signing_endpoints.router,
    jobs_endpoints.router,
    tunings_endpoints.router,
    conversions_endpoints.router,
    calibrations_endpoints.router,
    variants_endpoints.router,
    builds_endpoints.router,
    images_endpoints.router,
    deployments_endpoints.router,
    deletion_endpoints.router,
    lineage_endpoints.router,
    webhooks_endpoints.router,
    usage_endpoints.router,
)


def create_app(services: Services, limits: LimitSettings, http: HttpSettings, clock: Clock) -> FastAPI:
    """The application.

    Args:
        services: What the routes ask for; see :mod:`registry_api.bootstrap.platform`.
        limits: Bounds of request bodies.
        http: How long they may take.
        clock: For request times.
    """
    app = FastAPI(
        title="Furoshiki registry",
        version=VERSION,
        description=_DESCRIPTION,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=f"{PREFIX}/docs",
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        generate_unique_id_function=_operation_id,
        redirect_slashes=False,
    )
    app.state.services = services
    problem.install(app)
    app.include_router(operations.router)
    for router in _ROUTERS:
        app.include_router(idempotent(router), prefix=PREFIX)
    app.openapi = partial(_document, app)  # type: ignore[method-assign]
    app.add_middleware(ConditionalGets, prefix=PREFIX)
    app.add_middleware(ResolveShortcut, prefix=PREFIX, services=services)
    app.add_middleware(
        BodyGuard,
        max_bytes=limits.json_bytes,
        max_depth=limits.json_depth,
        max_seconds=http.body_seconds,
        streams=(uploads_endpoints.FILE_ROUTE, calibrations_endpoints.FILE_ROUTE),
    )
    app.add_middleware(RequestContext, clock=clock, prefix=PREFIX)
    return app


def _document(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        app.openapi_schema = with_etags(FastAPI.openapi(app), prefix=PREFIX)
    return app.openapi_schema


def _operation_id(route: APIRoute) -> str:
    return str(route.name)
