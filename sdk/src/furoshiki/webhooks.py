# SPDX-License-Identifier: Apache-2.0
"""Webhooks: what changes in the registry is sent to a URL, signed after the Standard Webhooks specification."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from furoshiki.api import API, get_request, json_request
from furoshiki.resource import D, Resource, listing, operation
from furoshiki.steps import Items, Request, Steps, path


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Who is told what."""

    id: str
    url: str
    description: str = ""
    kinds: tuple[str, ...] = ()  # empty: all
    models: tuple[str, ...] = ()  # empty: all
    enabled: bool
    disabled_reason: str | None = None  # None: enabled, or switched off by its owner
    failing_since: datetime | None = None  # first failure since the last success
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWebhook(Webhook):
    """A webhook just made; ``secret`` is shown this once and kept out of ``repr``."""

    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryAttempt:
    """One attempt to deliver."""

    at: datetime
    milliseconds: int
    status: int | None = None  # None: no answer
    error: str | None = None  # None: delivered
    response: str | None = None  # the beginning of the answer's body


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event for one webhook."""

    id: str
    event: str  # the message's 'webhook-id', the same at every attempt
    kind: str
    subject: str
    state: str  # pending, delivered, dead
    attempts: int  # since it was made, or asked for again
    due_at: datetime | None = None  # None: at once, or it has ended
    created_at: datetime
    ended_at: datetime | None = None
    log: tuple[DeliveryAttempt, ...] = ()  # of :meth:`Webhooks.delivery` only; oldest first


class Webhooks(Resource[D]):
    """``client.webhooks``; needs the role ``model-admin`` or ``tenant-admin``."""

    @operation
    def create(
        self, url: str, *, kinds: Sequence[str] = (), models: Sequence[str] = (), description: str = ""
    ) -> Steps[NewWebhook]:
        """Makes a webhook.

        Args:
            url: Where to; https, leading to public addresses.
            kinds: Of events, as ``version.stage_changed``; empty: all.
            models: Events about these only; empty: all.
            description: For people.

        Raises:
            InvalidRequest: ``VALID_002`` if nothing may be sent to the URL.
        """
        fields = {"url": url, "kinds": list(kinds), "models": list(models), "description": description}
        return (yield from self._api.fetch(json_request("POST", "/webhooks", fields), NewWebhook))

    @operation
    def get(self, webhook: str) -> Steps[Webhook]:
        """One webhook by id."""
        return (yield from self._api.fetch(get_request(path("webhooks", webhook)), Webhook))

    @operation
    def update(
        self,
        webhook: str,
        *,
        url: str | None = None,
        kinds: Sequence[str] | None = None,
        models: Sequence[str] | None = None,
        description: str | None = None,
        enabled: bool | None = None,
    ) -> Steps[Webhook]:
        """Changes what is not None."""
        fields = {
            "url": url,
            "kinds": None if kinds is None else list(kinds),
            "models": None if models is None else list(models),
            "description": description,
            "enabled": enabled,
        }
        return (yield from self._api.fetch(json_request("PATCH", path("webhooks", webhook), fields), Webhook))

    @operation
    def delete(self, webhook: str) -> Steps[None]:
        """Removes a webhook and its deliveries."""
        yield from self._api.send(Request(method="DELETE", path=API + path("webhooks", webhook)))

    @operation
    def test(self, webhook: str) -> Steps[Delivery]:
        """Sends an event of the kind ``webhook.test``, whatever the filters."""
        return (yield from self._api.fetch(json_request("POST", path("webhooks", webhook, "test"), {}), Delivery))

    @operation
    def delivery(self, webhook: str, delivery: str) -> Steps[Delivery]:
        """One delivery with the log of its attempts."""
        found = get_request(path("webhooks", webhook, "deliveries", delivery))
        return (yield from self._api.fetch(found, Delivery))

    @operation
    def redeliver(self, webhook: str, delivery: str) -> Steps[Delivery]:
        """Delivers again at once, under the same id.

        Raises:
            Conflict: ``STATE_001`` if the webhook is switched off.
        """
        again = json_request("POST", path("webhooks", webhook, "deliveries", delivery, "redeliver"), {})
        return (yield from self._api.fetch(again, Delivery))

    @listing
    def deliveries(self, webhook: str, *, state: str | None = None) -> Items[Delivery]:
        """The deliveries of a webhook, newest first."""
        query = {} if state is None else {"state": state}
        yield from self._api.pages(path("webhooks", webhook, "deliveries"), Delivery, {**query})

    @listing
    def list(self) -> Items[Webhook]:
        """The tenant's webhooks."""
        yield from self._api.pages("/webhooks", Webhook)
