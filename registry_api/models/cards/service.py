# SPDX-License-Identifier: Apache-2.0
"""Reads and replaces model cards. Every change is in the tenant's history and is told as an event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.clock import Clock
from registry_api.audit.record import record
from registry_api.db.session import Database, Session
from registry_api.http.auth import Principal
from registry_api.http.etags import NO_PRECONDITION, Precondition
from registry_api.models.cards.repository import CardRepository
from registry_api.models.cards.schemas import CardOut
from registry_api.models.cards.values import Card
from registry_api.models.service import raise_no_model
from registry_api.webhooks.outbox import emit


class CardService:
    """The cards of the caller's tenant."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def get(self, tenant: str, model: str, version: int | None) -> Card:
        """The card that counts: of the version its own, else the model's; empty if nothing was ever said.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such model or version.
        """
        async with self._db.read(tenant) as session:
            return await _existing(session, tenant, model, version)

    async def put(
        self,
        principal: Principal,
        model: str,
        version: int | None,
        *,
        fields: Mapping[str, Any],
        body: str,
        match: Precondition = NO_PRECONDITION,
    ) -> Card:
        """Replaces the card of a model or of one version; the same content again changes nothing.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such model or version.
            Conflict: ``STATE_003`` if the card is not as ``match`` says.
        """
        tenant = principal.tenant
        async with self._db.write(tenant) as session:
            await CardRepository(session, tenant).lock(model)
            before = await _existing(session, tenant, model, version)
            match.check(CardOut.of(before))
            own = before.version == version
            if own and (before.fields, before.body) == (fields, body):
                return before
            after = Card(
                tenant=tenant,
                model=model,
                version=version,
                revision=before.revision + 1 if own else 1,
                fields=fields,
                body=body,
                updated_at=self._clock.now(),
                updated_by=principal.name,
            )
            await CardRepository(session, tenant).put(after)
            await _tell(session, principal, before if own and before.revision else None, after)
        return after


async def _existing(session: Session, tenant: str, model: str, version: int | None) -> Card:
    card = await CardRepository(session, tenant).find(model, version)
    if card is None:
        raise_no_model(tenant, model if version is None else f"{model}@{version}")
    return card


async def _tell(session: Session, principal: Principal, before: Card | None, after: Card) -> None:
    subject = after.model if after.version is None else f"{after.model}@{after.version}"
    old, new = None if before is None else _facts(before), _facts(after)
    about = {"model": after.model, "version": after.version}
    await emit(
        session,
        tenant=after.tenant,
        kind="model.updated",
        subject=subject,
        old={**about, "card": old},
        new={**about, "card": new},
        actor=principal.name,
        at=after.updated_at,
    )
    await record(
        session,
        tenant=after.tenant,
        actor=principal.name,
        actor_key=principal.key_id,
        action="card.changed",
        subject=subject,
        before=old,
        after=new,
        reason="",
        at=after.updated_at,
    )


def _facts(card: Card) -> dict[str, Any]:
    return {"revision": card.revision, "digest": card.digest()}
