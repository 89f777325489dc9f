# SPDX-License-Identifier: Apache-2.0
"""Routes of deployments."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter, Query
from fastapi.responses import Response

from core.errors import ErrorCode as E
from registry_api.deployments.bodies import ChangeIn, DeploymentIn, RollbackIn
from registry_api.deployments.changing import DeploymentChanges
from registry_api.deployments.schemas import DeploymentOut, EventOut, RevisionOut
from registry_api.deployments.service import DeploymentService
from registry_api.http.access import Action
from registry_api.http.auth import Principal, allowed
from registry_api.http.etags import IfMatch, tagged
from registry_api.http.fields import NamePath
from registry_api.http.pagination import Page, Paging
from registry_api.http.problem import problems
from registry_api.http.services import provided
from registry_api.jobs.endpoints import Offset, log_response, log_text

Deployments: TypeAlias = Annotated[DeploymentService, provided(DeploymentService)]
Changes: TypeAlias = Annotated[DeploymentChanges, provided(DeploymentChanges)]

InstanceName: TypeAlias = Annotated[
    str | None,
    Query(
        pattern=r"^[a-z0-9][a-z0-9.-]*$",
        max_length=253,
        description="The `run` of an instance, or the name of a pod. Left out: the first one.",
    ),
]
Reader: TypeAlias = Annotated[Principal, allowed(Action.DEPLOYMENTS_READ)]
Manager: TypeAlias = Annotated[Principal, allowed(Action.DEPLOYMENTS_MANAGE)]

_GONE: Final = (E.BUILD_NOT_FOUND, E.IMAGE_NOT_FOUND, E.MODEL_NOT_FOUND)
_CHANGED: Final = (E.DEPLOYMENT_NOT_FOUND, *_GONE, E.STATE_CONFLICT, E.PRECONDITION_FAILED, E.QUOTA_EXCEEDED)

router: Final = APIRouter(tags=["deployments"])


@router.post(
    "/deployments",
    status_code=202,
    summary="Deploy a build or an image",
    description="The answer comes at once; the work is the job `job_id`. A deployment of the same name that has stopped "
    "or failed is replaced.",
    responses=problems(
        E.MALFORMED,
        *_GONE,
        E.STATE_CONFLICT,
        E.RESOURCE_EXISTS,
        E.QUOTA_EXCEEDED,
        E.TOO_LARGE,
        E.UNSUPPORTED_MEDIA_TYPE,
    ),
)
async def create_deployment(caller: Manager, body: DeploymentIn, deployments: Deployments) -> DeploymentOut:
    return DeploymentOut.of(await deployments.create(caller, body.value(caller.tenant)))


@router.get("/deployments", summary="List deployments, newest first", responses=problems())
async def list_deployments(caller: Reader, paging: Paging, deployments: Deployments) -> Page[DeploymentOut]:
    return (await deployments.page(caller.tenant, paging)).page(DeploymentOut.of)


@router.get("/deployments/{name}", summary="Get a deployment", responses=problems(E.DEPLOYMENT_NOT_FOUND))
async def get_deployment(caller: Reader, name: NamePath, deployments: Deployments) -> DeploymentOut:
    return DeploymentOut.of(await deployments.get(caller.tenant, name))


@router.patch(
    "/deployments/{name}",
    status_code=202,
    summary="Change what is wanted of a deployment",
    description="The answer comes at once; the work is the job `job_id`. New instances are started and proven before old "
    "ones end; if that fails, what served goes on, with an `error`. The number of instances makes no new revision.",
    response_model=DeploymentOut,
    responses=problems(E.MALFORMED, *_CHANGED, E.TOO_LARGE, E.UNSUPPORTED_MEDIA_TYPE),
)
async def update_deployment(
    *, caller: Manager, name: NamePath, body: ChangeIn, match: IfMatch, changes: Changes
) -> Response:
    return tagged(DeploymentOut.of(await changes.change(caller, name, body.value(), match)), status=202)


@router.post(
    "/deployments/{name}/rollback",
    status_code=202,
    summary="Roll a deployment back",
    description="Makes a new revision of what an earlier one was. The answer comes at once; the work is the job `job_id`.",
    response_model=DeploymentOut,
    responses=problems(E.MALFORMED, *_CHANGED, E.TOO_LARGE, E.UNSUPPORTED_MEDIA_TYPE),
)
async def roll_back_deployment(
    *, caller: Manager, name: NamePath, body: RollbackIn, match: IfMatch, changes: Changes
) -> Response:
    found = await changes.roll_back(caller, name, revision=body.revision, reason=body.reason or "", match=match)
    return tagged(DeploymentOut.of(found), status=202)


@router.get(
    "/deployments/{name}/revisions",
    summary="List what was wanted of a deployment, newest first",
    responses=problems(E.DEPLOYMENT_NOT_FOUND),
)
async def list_deployment_revisions(
    caller: Reader, name: NamePath, paging: Paging, deployments: Deployments
) -> Page[RevisionOut]:
    return (await deployments.revisions(caller.tenant, name, paging)).page(RevisionOut.of)


@router.get(
    "/deployments/{name}/events",
    summary="List what happened to a deployment, newest first",
    description="The newest few hundred are kept.",
    responses=problems(E.DEPLOYMENT_NOT_FOUND),
)
async def list_deployment_events(
    caller: Reader, name: NamePath, paging: Paging, deployments: Deployments
) -> Page[EventOut]:
    return (await deployments.happenings(caller.tenant, name, paging)).page(EventOut.of)


@router.get(
    "/deployments/{name}/logs",
    summary="Read the log of an instance of a deployment",
    description="Only the newest megabytes are kept: `X-Log-Offset` is later than asked for where the beginning is gone. "
    "Of instances that have ended the newest few are kept. On another machine, or in a cluster only: `DEVICE_001`.",
    response_class=Response,
    responses={200: log_text(), **problems(E.DEPLOYMENT_NOT_FOUND, E.DEVICE_UNAVAILABLE)},
)
async def get_deployment_logs(
    *, caller: Reader, name: NamePath, deployments: Deployments, instance: InstanceName = None, offset: Offset = 0
) -> Response:
    part = await deployments.log(caller.tenant, name, instance=instance, offset=offset)
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
