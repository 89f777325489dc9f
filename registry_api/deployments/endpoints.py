# SPDX-License-Identifier: Apache-2.0
"""Routes of deployments."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter
from fastapi.responses import Response

from core.errors import ErrorCode as E
from registry_api.deployments.schemas import DeploymentIn, DeploymentOut
from registry_api.deployments.service import DeploymentService
from registry_api.deployments.values import NewDeployment
from registry_api.http.access import Action
from registry_api.http.auth import Principal, allowed
from registry_api.http.fields import NamePath
from registry_api.http.pagination import Page, Paging
from registry_api.http.problem import problems
from registry_api.http.services import provided
from registry_api.jobs.endpoints import Offset, log_response, log_text

Deployments: TypeAlias = Annotated[DeploymentService, provided(DeploymentService)]

Reader: TypeAlias = Annotated[Principal, allowed(Action.DEPLOYMENTS_READ)]
Manager: TypeAlias = Annotated[Principal, allowed(Action.DEPLOYMENTS_MANAGE)]

router: Final = APIRouter(tags=["deployments"])


@router.post(
    "/deployments",
    status_code=202,
    summary="Deploy a build",
    description="The answer comes at once; the work is the job `job_id`. A deployment of the same name that has stopped "
    "or failed is replaced.",
    responses=problems(
        E.MALFORMED,
        E.BUILD_NOT_FOUND,
        E.MODEL_NOT_FOUND,
        E.STATE_CONFLICT,
        E.RESOURCE_EXISTS,
        E.QUOTA_EXCEEDED,
        E.TOO_LARGE,
        E.UNSUPPORTED_MEDIA_TYPE,
    ),
)
async def create_deployment(caller: Manager, body: DeploymentIn, deployments: Deployments) -> DeploymentOut:
    new = NewDeployment(
        tenant=caller.tenant, name=body.name, build_id=body.build_id, target=body.target, auth=body.auth
    )
    return DeploymentOut.of(await deployments.create(new))


@router.get("/deployments", summary="List deployments, newest first", responses=problems())
async def list_deployments(caller: Reader, paging: Paging, deployments: Deployments) -> Page[DeploymentOut]:
    return (await deployments.page(caller.tenant, paging)).page(DeploymentOut.of)


@router.get("/deployments/{name}", summary="Get a deployment", responses=problems(E.DEPLOYMENT_NOT_FOUND))
async def get_deployment(caller: Reader, name: NamePath, deployments: Deployments) -> DeploymentOut:
    return DeploymentOut.of(await deployments.get(caller.tenant, name))


@router.get(
    "/deployments/{name}/logs",
    summary="Read a deployment's log",
    description="Only the newest megabytes are kept: `X-Log-Offset` is later than asked for where the beginning is gone.",
    response_class=Response,
    responses={200: log_text(), **problems(E.DEPLOYMENT_NOT_FOUND)},
)
async def get_deployment_logs(caller: Reader, name: NamePath, deployments: Deployments, offset: Offset = 0) -> Response:
    part = await deployments.log(caller.tenant, name, offset=offset)
    return log_response(part.data, start=part.start, size=part.size)


@router.post(
    "/deployments/{name}/stop",
    status_code=202,
    summary="Stop a deployment",
    description="The answer comes at once; the work is the job `job_id`. One that has ended stays as it is.",
    responses=problems(E.DEPLOYMENT_NOT_FOUND, E.QUOTA_EXCEEDED),
)
async def stop_deployment(caller: Manager, name: NamePath, deployments: Deployments) -> DeploymentOut:
    return DeploymentOut.of(await deployments.stop(caller.tenant, name))
