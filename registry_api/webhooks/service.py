# SPDX-License-Identifier: Apache-2.0
"""Webhooks as their tenant sees them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from core.clock import Clock
from core.errors import ErrorCode, InvalidRequest
from core.telemetry.logs import get_logger
from registry_api.db.session import Database, Session
from registry_api.http.auth import Principal
from registry_api.http.pagination import Listing, PageRequest, listing
from registry_api.webhooks.addresses import AddressPolicy, Refused, Resolver, check_url, system_resolver
from registry_api.webhooks.history.repository import DeliveryHistory
from registry_api.webhooks.policy import check_enabled, no_webhook, too_many
from registry_api.webhooks.repository import WebhookRepository
from registry_api.webhooks.secrets import SecretKeeper, new_secret, shown
from registry_api.webhooks.values import (
    Delivery,
    DeliveryReport,
    DeliveryState,
    Event,
    EventKind,
    NewWebhook,
    Webhook,
    WebhookWish,
)

_log = get_logger(__name__)


class WebhookService:
    """What the API does with webhooks; sending is the worker's part.

    Args:
        db: Where they live.
        clock: For times of records.
        keeper: Of their secrets.
        policy: Where they may point to.
        per_tenant: The most webhooks of a tenant.
        resolve: Finds the addresses of a name.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        keeper: SecretKeeper,
        *,
        policy: AddressPolicy,
        per_tenant: int,
        resolve: Resolver = system_resolver,
    ) -> None:
        self._db = db
        self._clock = clock
        self._keeper = keeper
        self._policy = policy
        self._per_tenant = per_tenant
        self._resolve = resolve

    async def create(self, principal: Principal, wish: WebhookWish) -> NewWebhook:
        """Makes a webhook and its secret.

        Raises:
            InvalidRequest: ``VALID_002`` if nothing may be sent to the URL.
            Overloaded: ``QUOTA_001`` if the tenant has as many webhooks as it may have.
            Unavailable: If encryption at rest is on and its keys cannot be used at the moment.
        """
        await self._check(wish.url)
        tenant, secret = principal.tenant, new_secret()
        stored = await self._keeper.keep(tenant, secret)
        webhook = Webhook(
            id=uuid4().hex,
            tenant=tenant,
            url=wish.url,
            description=wish.description,
            kinds=wish.kinds,
            models=wish.models,
            enabled=True,
            disabled_reason=None,
            failing_since=None,
            created_at=self._clock.now(),
            created_by=principal.name,
        )
        async with self._db.write(tenant) as session:
            webhooks = WebhookRepository(session)
            if await webhooks.count(tenant) >= self._per_tenant:
                raise too_many(tenant, self._per_tenant)
            await webhooks.add(webhook, secret=stored.data, secret_key_id=stored.key_id)
        _log.info("webhook_created", tenant=tenant, webhook=webhook.id)
        return NewWebhook(webhook=webhook, secret=shown(secret))

    async def get(self, tenant: str, webhook: str) -> Webhook:
        """One webhook.

        Raises:
            NotFound: ``WEBHOOK_001`` if the tenant has no such webhook.
        """
        async with self._db.read(tenant) as session:
            return await _found(session, tenant, webhook)

    async def page(self, tenant: str, request: PageRequest) -> Listing[Webhook]:
        """The tenant's webhooks by id."""
        position = request.position(str)
        async with self._db.read(tenant) as session:
            rows = await WebhookRepository(session).page(
                tenant, after=None if position is None else position[0], limit=request.limit + 1
            )
        return listing(rows, request, lambda webhook: (webhook.id,))

    async def change(self, tenant: str, webhook: str, fields: dict[str, Any]) -> Webhook:
        """Sets some of ``url``, ``description``, ``kinds``, ``models`` and ``enabled``.

        Raises:
            NotFound: ``WEBHOOK_001`` if the tenant has no such webhook.
            InvalidRequest: ``VALID_002`` if nothing may be sent to the new URL.
        """
        if "url" in fields:
            await self._check(fields["url"])
        values = {name: sorted(value) if name in ("kinds", "models") else value for name, value in fields.items()}
        if "enabled" in fields:
            values |= {"disabled_reason": None, "failing_since": None}
        async with self._db.write(tenant) as session:
            if values and not await WebhookRepository(session).change(tenant, webhook, values):
                raise no_webhook(webhook)
            return await _found(session, tenant, webhook)

    async def remove(self, tenant: str, webhook: str) -> None:
        """Removes a webhook with its deliveries.

        Raises:
            NotFound: ``WEBHOOK_001`` if the tenant has no such webhook.
        """
        async with self._db.write(tenant) as session:
            if not await WebhookRepository(session).remove(tenant, webhook):
                raise no_webhook(webhook)
        _log.info("webhook_removed", tenant=tenant, webhook=webhook)

    async def test(self, principal: Principal, webhook: str) -> Delivery:
        """Sends the webhook an event of the kind ``webhook.test``, whatever its filters.

        Raises:
            NotFound: ``WEBHOOK_001`` if the tenant has no such webhook.
            Conflict: ``STATE_001`` if it is switched off.
        """
        tenant = principal.tenant
        event = Event(
            id=f"evt_{uuid4().hex}",
            tenant=tenant,
            kind=EventKind.WEBHOOK_TEST,
            subject=f"webhook/{webhook}",
            old=None,
            new={"message": "A test of this webhook."},
            actor=principal.name,
            at=self._clock.now(),
        )
        async with self._db.write(tenant) as session:
            check_enabled(await _found(session, tenant, webhook))
            [delivery] = await WebhookRepository(session).deliver(event, [webhook])
            return await _delivery(session, tenant, webhook, delivery)

    async def deliveries(
        self, tenant: str, webhook: str, request: PageRequest, *, state: DeliveryState | None = None
    ) -> Listing[Delivery]:
        """Deliveries of a webhook, newest first.

        Raises:
            NotFound: ``WEBHOOK_001`` if the tenant has no such webhook.
        """
        position = request.position(int)
        async with self._db.read(tenant) as session:
            await _found(session, tenant, webhook)
            rows = await DeliveryHistory(session).page(
                tenant,
                webhook,
                state=state,
                before=None if position is None else position[0],
                limit=request.limit + 1,
            )
        return listing(rows, request, lambda delivery: (delivery.number,))

    async def delivery(self, tenant: str, webhook: str, delivery: str) -> DeliveryReport:
        """One delivery with its attempts.

        Raises:
            NotFound: ``WEBHOOK_001`` if the tenant has no such webhook or delivery.
        """
        async with self._db.read(tenant) as session:
            found = await _delivery(session, tenant, webhook, delivery)
            attempts = await DeliveryHistory(session).attempts(found.number)
        return DeliveryReport(delivery=found, attempts=tuple(attempts))

    async def redeliver(self, tenant: str, webhook: str, delivery: str) -> Delivery:
        """Makes a delivery due at once, whatever became of it before; one that is being sent stays as it is.

        Raises:
            NotFound: ``WEBHOOK_001`` if the tenant has no such webhook or delivery.
            Conflict: ``STATE_001`` if the webhook is switched off.
        """
        async with self._db.write(tenant) as session:
            check_enabled(await _found(session, tenant, webhook))
            found = await _delivery(session, tenant, webhook, delivery)
            await DeliveryHistory(session).again(found.number)
            session.expire_all()
            return await _delivery(session, tenant, webhook, delivery)

    async def _check(self, url: str) -> None:
        try:
            await check_url(url, self._policy, self._resolve)
        except Refused as error:
            raise InvalidRequest(ErrorCode.INVALID_FIELD, f"url: {error}", details={"field": "url"}) from None


async def _found(session: Session, tenant: str, webhook: str) -> Webhook:
    found = await WebhookRepository(session).get(tenant, webhook)
    if found is None:
        raise no_webhook(webhook)
    return found


async def _delivery(session: Session, tenant: str, webhook: str, delivery: str) -> Delivery:
    found = await DeliveryHistory(session).get(tenant, webhook, delivery)
    if found is None:
        raise no_webhook(delivery)
    return found
