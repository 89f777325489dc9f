# SPDX-License-Identifier: Apache-2.0
"""The first wall between tenants: what the ORM does in a tenant's transaction.

Rules. Every SELECT, UPDATE and DELETE of a mapped class that carries a tenant is narrowed to the session's tenant, also in
subqueries. A row of another tenant cannot be added, nor a row be given to another tenant; that is a bug of ours and raises
:class:`ForeignTenant`, which callers see as an internal error. ``EVERY_TENANT`` narrows nothing.

Not covered: text SQL and statements whose first column is not of a mapped class. Repositories name the tenant in every
statement besides, and on PostgreSQL row-level security is the second wall (:mod:`registry_api.db.row_security`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Insert, event
from sqlalchemy.orm import LoaderCriteriaOption, ORMExecuteState, UOWTransaction, with_loader_criteria
from sqlalchemy.orm import Session as SyncSession

from registry_api.db.engine import Base, tenant_column

EVERY_TENANT: Final = "*"
"""In place of a tenant: the transaction may touch all of them. For authentication, jobs of the platform and housekeeping."""

TENANT: Final = "tenant"
"""Where a session keeps its tenant."""


class ForeignTenant(Exception):
    """A row of another tenant was about to be written in a tenant's transaction."""


class ScopedSession(SyncSession):
    """A session whose ``info["tenant"]`` says whose rows it may touch."""


def _narrow(state: ORMExecuteState) -> None:
    tenant = state.session.info[TENANT]
    if tenant == EVERY_TENANT:
        return
    if state.is_insert:
        _check_insert(state, tenant)
    elif (state.is_select and not state.is_column_load) or state.is_update or state.is_delete:
        state.statement = state.statement.options(_own_rows(tenant))


@lru_cache(maxsize=4096)  # making one costs more than most statements
def _own_rows(tenant: str) -> LoaderCriteriaOption:
    return with_loader_criteria(Base, lambda entity: entity.owned_by(tenant), include_aliases=True)


def _check_insert(state: ORMExecuteState, tenant: str) -> None:
    statement = state.statement
    assert isinstance(statement, Insert)
    column = tenant_column(statement.table.name, statement.table.c.keys())
    if column is None:
        return
    for row in _inserted(state, statement):
        values = [value for name, value in row.items() if name == column or name.startswith(f"{column}_m")]
        if not values or any(value != tenant for value in values):
            raise ForeignTenant(f"insert into {statement.table.name} for {values!r} in a transaction of {tenant!r}")


def _inserted(state: ORMExecuteState, statement: Insert) -> Iterable[Mapping[str, Any]]:
    """The values of each row: given beside the statement, or in it (there rows after the first are named ``tenant_m1``)."""
    if state.parameters:
        return [state.parameters] if isinstance(state.parameters, Mapping) else state.parameters
    return [statement.compile(dialect=state.session.get_bind().dialect).params]


def _check_flush(session: SyncSession, _context: UOWTransaction, _instances: object) -> None:
    tenant = session.info[TENANT]
    if tenant == EVERY_TENANT:
        return
    for row in (*session.new, *session.dirty, *session.deleted):
        column = tenant_column(row.__tablename__, row.__table__.c.keys())
        if column is not None and getattr(row, column) != tenant:
            raise ForeignTenant(f"a row of {row.__tablename__} for another tenant in a transaction of {tenant!r}")


event.listen(ScopedSession, "do_orm_execute", _narrow)
event.listen(ScopedSession, "before_flush", _check_flush)
