# SPDX-License-Identifier: Apache-2.0
"""What a tenant's record says, for callers whose credential does not carry it, remembered for a while."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeAlias

from core.clock import Clock
from core.errors import AuthError, FuroshikiError
from core.questions import Questions
from services.edge.context import NO_LIMITS, TenantLimits
from services.edge.features import DEFAULT_FEATURES

_MOST_TENANTS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantRecord:
    """One tenant, as far as serving it goes."""

    limits: TenantLimits = NO_LIMITS
    features: frozenset[str] = DEFAULT_FEATURES


_NOTHING_SET: Final = TenantRecord()

LookUp: TypeAlias = Callable[[str], Coroutine[Any, Any, TenantRecord]]


class Records(Protocol):
    """What is known about tenants."""

    async def record(self, tenant: str) -> TenantRecord:
        """What is known about one.

        Raises:
            AuthError: ``AUTH_002`` if there is no such tenant.
            Unavailable: ``STORE_001`` if nobody can tell.
        """
        ...


@dataclass(slots=True)
class _Known:
    record: TenantRecord
    fresh_until: float
    usable_until: float


class RememberedTenants:
    """Implements :class:`Records` by asking and remembering.

    Args:
        look_up: Asks for one; raises as :meth:`Records.record` does.
        clock: For their age.
        fresh_s: Seconds a record is used without asking again.
        grace_s: Seconds more it is used while nobody can be asked.
    """

    def __init__(self, look_up: LookUp, *, clock: Clock, fresh_s: float, grace_s: float) -> None:
        self._look_up = look_up
        self._clock = clock
        self._fresh_s = fresh_s
        self._grace_s = grace_s
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._questions: Questions[str, TenantRecord] = Questions()

    async def record(self, tenant: str) -> TenantRecord:
        known = self._known.get(tenant)
        if known is not None and self._clock.monotonic() < known.fresh_until:
            return known.record
        return await self._questions.ask(tenant, partial(self._ask, tenant))

    async def _ask(self, tenant: str) -> TenantRecord:
        now = self._clock.monotonic()
        try:
            record = await self._look_up(tenant)
        except AuthError:
            self._known.pop(tenant, None)
            raise
        except FuroshikiError:
            known = self._known.get(tenant)
            if known is None or known.usable_until <= now:
                raise
            known.fresh_until = min(now + self._fresh_s, known.usable_until)
            return known.record
        self._known[tenant] = _Known(record, now + self._fresh_s, now + self._fresh_s + self._grace_s)
        self._known.move_to_end(tenant)
        if len(self._known) > _MOST_TENANTS:
            self._known.popitem(last=False)
        return record


class SameForAll:
    """Implements :class:`Records` without a registry: whoever has a valid token gets what the service gives everybody."""

    async def record(self, tenant: str) -> TenantRecord:  # noqa: ARG002
        return _NOTHING_SET
