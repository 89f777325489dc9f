# SPDX-License-Identifier: Apache-2.0
"""Routes of webhooks and their deliveries."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter

from core.errors import ErrorCode as E
from registry_api.http.access import Action
from registry_api.http.auth import Principal, allowed
from registry_api.http.fields import IdPath
from registry_api.http.pagination import Page, Paging
from registry_api.http.problem import problems
from registry_api.http.services import provided
from registry_api.webhooks.schemas import (
    DeliveryOut,
    DeliveryReportOut,
    NewWebhookOut,
    WebhookChangeIn,
    WebhookIn,
    WebhookOut,
)
from registry_api.webhooks.service import WebhookService
from registry_api.webhooks.values import DeliveryState

Webhooks: TypeAlias = Annotated[WebhookService, provided(WebhookService)]
Manager: TypeAlias = Annotated[Principal, allowed(Action.WEBHOOKS_MANAGE)]

router: Final = APIRouter(tags=["webhooks"])


@router.post(
    "/webhooks",
    status_code=201,
    summary="Make a webhook",
    description="The secret is in this response and nowhere else. The URL must be https and lead to public addresses.",
    responses=problems(E.QUOTA_EXCEEDED, E.STORE_UNAVAILABLE),
)
async def create_webhook(caller: Manager, body: WebhookIn, webhooks: Webhooks) -> NewWebhookOut:
    return NewWebhookOut.made(await webhooks.create(caller, body.value()))


@router.get("/webhooks", summary="List webhooks", responses=problems())
async def list_webhooks(caller: Manager, paging: Paging, webhooks: Webhooks) -> Page[WebhookOut]:
    return (await webhooks.page(caller.tenant, paging)).page(WebhookOut.of)


@router.get("/webhooks/{webhook}", summary="Get a webhook", responses=problems(E.WEBHOOK_NOT_FOUND))
async def get_webhook(caller: Manager, webhook: IdPath, webhooks: Webhooks) -> WebhookOut:
    return WebhookOut.of(await webhooks.get(caller.tenant, webhook))


@router.patch(
    "/webhooks/{webhook}",
    summary="Change a webhook, or switch it on or off",
    description="While it is off nothing is noted for it; what was open is sent when it is switched on again.",
    responses=problems(E.WEBHOOK_NOT_FOUND),
)
async def change_webhook(caller: Manager, webhook: IdPath, body: WebhookChangeIn, webhooks: Webhooks) -> WebhookOut:
    return WebhookOut.of(await webhooks.change(caller.tenant, webhook, body.fields()))


@router.delete(
    "/webhooks/{webhook}",
    status_code=204,
    summary="Remove a webhook and its deliveries",
    responses=problems(E.WEBHOOK_NOT_FOUND),
)
async def delete_webhook(caller: Manager, webhook: IdPath, webhooks: Webhooks) -> None:
    await webhooks.remove(caller.tenant, webhook)


@router.post(
    "/webhooks/{webhook}/test",
    status_code=202,
    summary="Send a test event to a webhook",
    responses=problems(E.WEBHOOK_NOT_FOUND, E.STATE_CONFLICT),
)
async def test_webhook(caller: Manager, webhook: IdPath, webhooks: Webhooks) -> DeliveryOut:
    return DeliveryOut.of(await webhooks.test(caller, webhook))


@router.get(
    "/webhooks/{webhook}/deliveries",
    summary="List a webhook's deliveries, newest first",
    responses=problems(E.WEBHOOK_NOT_FOUND),
)
async def list_deliveries(
    caller: Manager, webhook: IdPath, paging: Paging, webhooks: Webhooks, state: DeliveryState | None = None
) -> Page[DeliveryOut]:
    return (await webhooks.deliveries(caller.tenant, webhook, paging, state=state)).page(DeliveryOut.of)


@router.get(
    "/webhooks/{webhook}/deliveries/{delivery}",
    summary="Get a delivery and the log of its attempts",
    responses=problems(E.WEBHOOK_NOT_FOUND),
)
async def get_delivery(caller: Manager, webhook: IdPath, delivery: IdPath, webhooks: Webhooks) -> DeliveryReportOut:
    return DeliveryReportOut.report(await webhooks.delivery(caller.tenant, webhook, delivery))


@router.post(
    "/webhooks/{webhook}/deliveries/{delivery}/redeliver",
    status_code=202,
    summary="Deliver again",
    description="The message keeps its id, so that receivers can tell.",
    responses=problems(E.WEBHOOK_NOT_FOUND, E.STATE_CONFLICT),
)
async def redeliver(caller: Manager, webhook: IdPath, delivery: IdPath, webhooks: Webhooks) -> DeliveryOut:
    return DeliveryOut.of(await webhooks.redeliver(caller.tenant, webhook, delivery))
