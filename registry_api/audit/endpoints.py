# SPDX-License-Identifier: Apache-2.0
"""Routes of the history."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from core.errors import ErrorCode as E
from registry_api.audit.schemas import EntryOut, VerdictOut
from registry_api.audit.service import AuditService
from registry_api.http.access import Action
from registry_api.http.auth import Principal, allowed
from registry_api.http.fields import Label
from registry_api.http.pagination import Page, Paging
from registry_api.http.problem import problems
from registry_api.http.services import provided

Audit: TypeAlias = Annotated[AuditService, provided(AuditService)]
AuditReader: TypeAlias = Annotated[Principal, allowed(Action.AUDIT_READ)]

LINES: Final = "application/jsonl"

router: Final = APIRouter(prefix="/audit", tags=["audit"])


@router.get("", summary="List what happened, newest first", responses=problems())
async def list_audit(
    caller: AuditReader,
    paging: Paging,
    audit: Audit,
    resource: Annotated[Label | None, Query(description="Such as the model `digits`.")] = None,
    action: Annotated[Label | None, Query(description="Such as `version.stage_changed`.")] = None,
) -> Page[EntryOut]:
    return (await audit.page(caller.tenant, paging, resource=resource, action=action)).page(EntryOut.of)


@router.get(
    "/verify",
    summary="Recompute the whole history and its signatures",
    description="What the registry says of its own database. To believe nobody, export and verify: `furo audit verify`.",
    responses=problems(),
)
async def verify_audit(caller: AuditReader, audit: Audit) -> VerdictOut:
    return VerdictOut.of(await audit.verify(caller.tenant))


@router.get(
    "/export",
    summary="Download the signed history",
    description="JSON lines: a header, every entry, and the checkpoints that vouch for them.",
    response_class=StreamingResponse,
    responses={
        200: {"description": "The history.", "content": {LINES: {"schema": {"type": "string", "format": "binary"}}}},
        **problems(E.STORE_UNAVAILABLE),
    },
)
async def export_audit(caller: AuditReader, audit: Audit) -> StreamingResponse:
    await audit.sign(caller.tenant)  # what fails must fail before the answer has begun
    return StreamingResponse(audit.export(caller.tenant), media_type=LINES)
