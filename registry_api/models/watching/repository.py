# SPDX-License-Identifier: Apache-2.0
"""Watches transactions: whoever listens is told of a tenant when one that touched its models was committed.

It is SQLAlchemy's events and not the services that tell, so no slice can forget to, aliases and stages of later slices
included. What another process commits is not seen here.
"""

from __future__ import annotations

from typing import Final, Protocol
from weakref import WeakSet

from sqlalchemy import event
from sqlalchemy.orm import ORMExecuteState, UOWTransaction
from sqlalchemy.orm import Session as OrmSession

from registry_api.db.scope import EVERY_TENANT, TENANT, ScopedSession

WATCHED: Final = frozenset({"models", "versions", "version_files", "variants", "aliases"})
"""Tables that the answer to "which version do I mean" is made of."""

_TOUCHED: Final = "models_touched"


class ModelsListener(Protocol):
    """Who wants to know."""

    def models_changed(self, tenant: str | None) -> None:
        """A tenant's models changed; None: those of any tenant may have."""
        ...


_listeners: Final[WeakSet[ModelsListener]] = WeakSet()


def listen(listener: ModelsListener) -> None:
    """Tells ``listener`` of every change from now on, for as long as somebody else holds it."""
    _listeners.add(listener)


def _executed(state: ORMExecuteState) -> None:
    if state.is_insert or state.is_update or state.is_delete:
        table = getattr(state.statement, "table", None)
        if getattr(table, "name", None) in WATCHED:
            state.session.info[_TOUCHED] = True


def _flushed(session: OrmSession, _context: UOWTransaction) -> None:
    rows = (*session.new, *session.dirty, *session.deleted)
    if any(row.__table__.name in WATCHED for row in rows):
        session.info[_TOUCHED] = True


def _committed(session: OrmSession) -> None:
    if session.in_nested_transaction() or not session.info.pop(_TOUCHED, False):
        return
    tenant = session.info[TENANT]
    for listener in list(_listeners):
        listener.models_changed(None if tenant == EVERY_TENANT else tenant)


event.listen(ScopedSession, "do_orm_execute", _executed)
event.listen(ScopedSession, "after_flush", _flushed)
event.listen(ScopedSession, "after_commit", _committed)
