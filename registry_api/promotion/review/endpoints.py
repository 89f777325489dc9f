# SPDX-License-Identifier: Apache-2.0
"""Routes of gates, readiness, approvals and evidence."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter, Path, Query

from core.errors import ErrorCode as E
from registry_api.http.access import Action
from registry_api.http.auth import ModelReader, ModelWriter, Principal, allowed
from registry_api.http.fields import NamePath, VersionPath
from registry_api.http.pagination import Page, Paging
from registry_api.http.problem import problems
from registry_api.http.services import provided
from registry_api.promotion.gate_schemas import TARGET_PATTERN, GatesIn, GatesOut, ReadinessOut, Target
from registry_api.promotion.review.approvals import ApprovalService
from registry_api.promotion.review.evidence import EvidenceService
from registry_api.promotion.review.gates import GateService
from registry_api.promotion.review.schemas import ApprovalIn, ApprovalOut, EvidenceIn, EvidenceOut

Gating: TypeAlias = Annotated[GateService, provided(GateService)]
Approvals: TypeAlias = Annotated[ApprovalService, provided(ApprovalService)]
Documents: TypeAlias = Annotated[EvidenceService, provided(EvidenceService)]
GateManager: TypeAlias = Annotated[Principal, allowed(Action.GATES_MANAGE)]
Approver: TypeAlias = Annotated[Principal, allowed(Action.VERSIONS_APPROVE)]
TargetPath: TypeAlias = Annotated[
    str,
    Path(
        pattern=TARGET_PATTERN, max_length=64, description="`STAGING`, `PRODUCTION`, or an alias such as `@champion`."
    ),
]
ApprovalPath: TypeAlias = Annotated[int, Path(ge=1, le=(1 << 53) - 1)]

router: Final = APIRouter(tags=["gates"])


@router.get("/gates", summary="List the gates of stages and aliases", responses=problems())
async def list_gates(caller: ModelReader, gating: Gating) -> list[GatesOut]:
    return [GatesOut.of(target, rules) for target, rules in await gating.all(caller.tenant)]


@router.get("/gates/{target}", summary="Get the gates of a stage or alias", responses=problems())
async def get_gates(caller: ModelReader, target: TargetPath, gating: Gating) -> GatesOut:
    return GatesOut.of(target, await gating.get(caller.tenant, target))


@router.put(
    "/gates/{target}",
    summary="Set the gates of a stage or alias",
    description="Replaces them. An alias with gates is protected: only who may promote, or the roles named, may move it.",
    responses=problems(E.STATE_CONFLICT),
)
async def set_gates(caller: GateManager, target: TargetPath, body: GatesIn, gating: Gating) -> GatesOut:
    return GatesOut.of(target, await gating.put(caller, target, body))


@router.get(
    "/models/{model}/versions/{version}/readiness",
    summary="What a version lacks to move, and what an approval of it must name",
    responses=problems(E.MODEL_NOT_FOUND),
)
async def get_readiness(
    caller: ModelReader,
    model: NamePath,
    version: VersionPath,
    gating: Gating,
    target: Annotated[Target, Query()] = "PRODUCTION",
) -> ReadinessOut:
    return ReadinessOut.of(await gating.readiness(caller, model, version, target))


@router.get(
    "/models/{model}/versions/{version}/approvals",
    summary="List approvals, newest first",
    responses=problems(E.MODEL_NOT_FOUND),
)
async def list_approvals(
    caller: ModelReader, model: NamePath, version: VersionPath, paging: Paging, approvals: Approvals
) -> Page[ApprovalOut]:
    return (await approvals.page(caller.tenant, model, version, paging)).page(ApprovalOut.of)


@router.post(
    "/models/{model}/versions/{version}/approvals",
    status_code=201,
    summary="Approve a version",
    description="Not by whoever declared its files. Void once evidence, model card or gates change.",
    responses=problems(E.MODEL_NOT_FOUND, E.STATE_CONFLICT),
)
async def approve(
    caller: Approver, model: NamePath, version: VersionPath, body: ApprovalIn, approvals: Approvals
) -> ApprovalOut:
    given = await approvals.approve(caller, model, version, target=body.target, state=body.state, comment=body.comment)
    return ApprovalOut.of(given)


@router.delete(
    "/models/{model}/versions/{version}/approvals/{approval}",
    summary="Withdraw one's own approval",
    responses=problems(E.MODEL_NOT_FOUND, E.APPROVAL_NOT_FOUND),
)
async def withdraw_approval(
    caller: Approver, model: NamePath, version: VersionPath, approval: ApprovalPath, approvals: Approvals
) -> ApprovalOut:
    return ApprovalOut.of(await approvals.withdraw(caller, model, version, approval))


@router.get(
    "/models/{model}/versions/{version}/evidence",
    summary="List evidence, newest first",
    responses=problems(E.MODEL_NOT_FOUND),
)
async def list_evidence(
    caller: ModelReader, model: NamePath, version: VersionPath, paging: Paging, documents: Documents
) -> Page[EvidenceOut]:
    return (await documents.page(caller.tenant, model, version, paging)).page(EvidenceOut.of)


@router.post(
    "/models/{model}/versions/{version}/evidence",
    status_code=201,
    summary="Add a document that gates ask for",
    description="`parity` needs `passed`; `latency` at least one of `p50_ms`, `p99_ms`, `rows_per_s`; `sbom` is CycloneDX "
    "or SPDX; `evaluation` is anything. The newest of a kind counts.",
    responses=problems(E.MODEL_NOT_FOUND, E.STATE_CONFLICT),
)
async def add_evidence(
    caller: ModelWriter, model: NamePath, version: VersionPath, body: EvidenceIn, documents: Documents
) -> EvidenceOut:
    return EvidenceOut.of(await documents.add(caller, model, version, body.kind, body.content))
