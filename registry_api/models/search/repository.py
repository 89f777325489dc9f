# SPDX-License-Identifier: Apache-2.0
"""Writes and asks the inverted index, and walks the list of models in every order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, delete, exists, false, insert, literal, select, tuple_

from registry_api.db.session import Session
from registry_api.http.pagination import Key, PageRequest, refuse_cursor
from registry_api.models.search.tables import ModelTermRow
from registry_api.models.search.terms import TermKind, range_of, tag_term, terms_of
from registry_api.models.search.values import ModelFilter, ModelOrder
from registry_api.models.tables import ModelRow, VersionRow

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TICK: Final = timedelta(microseconds=1)


async def index_model(session: Session, tenant: str, model_id: int) -> None:
    """Brings a model's terms up to date with its row and its newest version's; call it after each change of either."""
    await session.flush()
    row = select(ModelRow).where(ModelRow.tenant == tenant, ModelRow.id == model_id)
    model = (await session.execute(row.execution_options(populate_existing=True))).scalar_one()
    newest = await session.execute(
        select(VersionRow.description, VersionRow.tags, VersionRow.labels)
        .where(VersionRow.tenant == tenant, VersionRow.model_id == model_id, VersionRow.deleted_at.is_(None))
        .order_by(VersionRow.version.desc())
        .limit(1)
    )
    description, tags, metadata = newest.one_or_none() or ("", [], {})
    wanted = terms_of(model.name, model.description, model.tags, (description, *tags), metadata)
    mine = (ModelTermRow.tenant == tenant, ModelTermRow.model_id == model_id)
    known = {(TermKind(kind), term) for kind, term in await session.execute(_terms_of(mine))}
    for kind, term in known - wanted:
        await session.execute(delete(ModelTermRow).where(*mine, ModelTermRow.kind == kind, ModelTermRow.term == term))
    new = [{"tenant": tenant, "kind": kind, "term": term, "model_id": model_id} for kind, term in wanted - known]
    if new:
        await session.execute(insert(ModelTermRow), new)


def _terms_of(mine: tuple[ColumnElement[bool], ...]) -> Select[str, str]:
    return select(ModelTermRow.kind, ModelTermRow.term).where(*mine)


def restricted(query: Select[*tuple[Any, ...]], tenant: str, wanted: ModelFilter) -> Select[*tuple[Any, ...]]:
    """``query`` over ``ModelRow`` with the conditions of ``wanted``."""
    if wanted.words == ():
        return query.where(false())
    for word in wanted.words or ():
        query = query.where(_has_term(tenant, TermKind.WORD, word, prefix=True))
    for tag in wanted.tags:
        query = query.where(_has_term(tenant, TermKind.TAG, tag_term(tag), prefix=":" not in tag))
    version = (VersionRow.model_id == ModelRow.id, VersionRow.deleted_at.is_(None))
    if wanted.stage is not None:
        query = query.where(exists().where(*version, VersionRow.stage == wanted.stage))
    if wanted.format is not None:
        query = query.where(exists().where(*version, VersionRow.format == wanted.format))
    if wanted.created_after is not None:
        query = query.where(ModelRow.created_at > wanted.created_after)
    if wanted.created_before is not None:
        query = query.where(ModelRow.created_at < wanted.created_before)
    return query


def _has_term(tenant: str, kind: TermKind, term: str, *, prefix: bool) -> ColumnElement[bool]:
    found = select(ModelTermRow.model_id).where(ModelTermRow.tenant == tenant, ModelTermRow.kind == kind)
    if not prefix:
        return ModelRow.id.in_(found.where(ModelTermRow.term == term))
    first, last = range_of(term)
    return ModelRow.id.in_(found.where(ModelTermRow.term >= first, ModelTermRow.term <= last))


def walked(
    query: Select[*tuple[Any, ...]], order: ModelOrder, request: PageRequest
) -> tuple[Select[*tuple[Any, ...]], Callable[[ModelRow], Key]]:
    """``query`` in that order from the request's cursor on, one row more than the page, and the key of a row.

    Raises:
        InvalidRequest: ``VALID_002`` if the cursor comes from another list or order.
    """
    named = order.field == "name"
    after = request.position(str, str) if named else request.position(str, int, int)
    if after is not None and after[0] != order:
        refuse_cursor()
    parts: list[Any] = [ModelRow.name] if named else [getattr(ModelRow, order.field), ModelRow.id]
    query = query.order_by(*(part.desc() if order.down else part for part in parts)).limit(request.limit + 1)
    if after is not None:
        place = tuple_(*parts)
        seen = tuple_(*_literals(parts, after, named=named))
        query = query.where(place < seen if order.down else place > seen)
    return query, lambda row: _key(row, order, named=named)


def _literals(parts: list[Any], after: tuple[Any, ...], *, named: bool) -> list[ColumnElement[Any]]:
    values = [after[1]] if named else [_moment(after[1]), after[2]]
    return [literal(value, part.type) for part, value in zip(parts, values, strict=True)]


def _key(row: ModelRow, order: ModelOrder, *, named: bool) -> Key:
    if named:
        return order.value, row.name
    return order.value, (getattr(row, order.field) - _EPOCH) // _TICK, row.id


def _moment(ticks: int) -> datetime:
    try:
        return _EPOCH + ticks * _TICK
    except OverflowError:
        refuse_cursor()
