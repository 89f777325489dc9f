# SPDX-License-Identifier: Apache-2.0
"""What the names of models mean, as the registry says, remembered for a few seconds, absence included.

While the registry cannot be reached, what was known stays in use for ``grace_s``, and the registry is asked again only every
few seconds. When something of a tenant changed, who hears of it says so (:meth:`Names.forget`), and the tenant's names are
looked up anew; an answer that was under way then is given to who asked, and not remembered.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final, TypeAlias

import furoshiki
from artifacts.coordination.interface import EVERY_TENANT
from core.clock import Clock, rfc3339
from core.deprecation import Notice
from core.errors import ErrorCode, ModelError, Unavailable
from core.questions import Questions
from services.dataplane.catalog.interface import asked_version, not_found
from services.dataplane.registry import RegistryGateway

_MOST_NAMES: Final = 10_000

_Name: TypeAlias = tuple[str, str, str | None]  # tenant, model, version as asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What a name means."""

    version: int
    digest: str | None  # of the form that is served; None: there is no such model
    size: int  # bytes of its files
    variant: str | None = None  # the one of the version that is served here; None: what was uploaded
    fresh_until: float  # on the monotonic clock
    usable_until: float  # while the registry cannot be reached
    notice: Notice | None = None  # None: it is not deprecated


class Names:
    """Asks and remembers.

    Args:
        gateway: Asks the registry.
        clock: For the age of an answer.
        fresh_s: Seconds an answer is used without asking again.
        grace_s: Seconds it is used while the registry cannot be reached.
        refuse_after_sunset: Whether a version means nothing any more after the sunset of its deprecation.
        looked_up: Told of the tenant and the meaning after each question, also when the registry could not be reached.
    """

    def __init__(
        self,
        gateway: RegistryGateway,
        *,
        clock: Clock,
        fresh_s: float,
        grace_s: float,
        refuse_after_sunset: bool,
        looked_up: Callable[[str, Meaning], None],
    ) -> None:
        self._gateway = gateway
        self._clock = clock
        self._fresh_s = fresh_s
        self._grace_s = grace_s
        self._refuse_after_sunset = refuse_after_sunset
        self._looked_up = looked_up
        self._known: OrderedDict[_Name, Meaning] = OrderedDict()
        self._heard: dict[str, float] = {}  # by tenant: when something of it changed, on the monotonic clock
        self._questions: Questions[_Name, Meaning] = Questions()

    def fresh(self, tenant: str, model: str, version: str | None) -> Meaning | None:
        """What a name means, if that need not be asked."""
        meaning = self._known.get((tenant, model, version))
        if meaning is None or meaning.fresh_until <= self._clock.monotonic():
            return None
        return meaning

    def last(self, tenant: str, model: str, version: str | None) -> Meaning | None:
        """What a name meant when it was last asked about."""
        return self._known.get((tenant, model, version))

    async def find(self, tenant: str, model: str, version: str | None) -> tuple[Meaning, str]:
        """What a name means, and the digest of that.

        Raises:
            ModelError: ``MODEL_001`` if it means nothing.
            Unavailable: ``STORE_001`` if the registry does not answer in time.
        """
        meaning = self.fresh(tenant, model, version)
        if meaning is None:
            wanted = asked_version(model, version)
            name = (tenant, model, version)
            meaning = await self._questions.ask(name, partial(self._ask, name, wanted))
        if meaning.digest is None:
            raise not_found(model, version)
        if self._refuse_after_sunset:
            _check_sunset(meaning, model, self._clock.now())
        return meaning, meaning.digest

    def forget(self, tenant: str) -> None:
        """Something of a tenant (``*``: of any) changed: what its names mean is looked up anew."""
        self._heard[tenant] = self._clock.monotonic()
        for name, meaning in self._known.items():
            if tenant in (name[0], EVERY_TENANT):
                self._known[name] = replace(meaning, fresh_until=-math.inf)

    async def _ask(self, name: _Name, wanted: int | str | None) -> Meaning:
        tenant, model, _ = name
        asked = self._clock.monotonic()
        try:
            found = await self._gateway.resolve(tenant, model, wanted)
            form = await self._gateway.form(tenant, found)
            shown = found if form is None else form
            meaning = self._meaning(found.version, shown.digest, shown.size, asked)
            meaning = replace(meaning, notice=_notice(found), variant=None if form is None else form.name)
        except ModelError:
            meaning = self._meaning(0, None, 0, asked)
        except Unavailable:
            known, now = self._known.get(name), self._clock.monotonic()
            if known is None or known.usable_until < now:
                raise
            meaning = replace(known, fresh_until=now + self._fresh_s)
        if max(self._heard.get(tenant, -math.inf), self._heard.get(EVERY_TENANT, -math.inf)) >= asked:
            meaning = replace(meaning, fresh_until=-math.inf)  # it may be of before the change
        if self._refuse_after_sunset:
            meaning = self._until_sunset(meaning)
        self._looked_up(tenant, meaning)
        self._known[name] = meaning
        self._known.move_to_end(name)
        if len(self._known) > _MOST_NAMES:
            self._known.popitem(last=False)
        return meaning

    def _meaning(self, version: int, digest: str | None, size: int, asked: float) -> Meaning:
        fresh_until = asked + self._fresh_s
        return Meaning(
            version=version,
            digest=digest,
            size=size,
            fresh_until=fresh_until,
            usable_until=fresh_until + self._grace_s,
        )

    def _until_sunset(self, meaning: Meaning) -> Meaning:
        """The meaning, looked up anew when its sunset comes: what is fresh is leased without another look."""
        if meaning.notice is None or meaning.notice.sunset is None:
            return meaning
        left = (meaning.notice.sunset - self._clock.now()).total_seconds()
        return replace(meaning, fresh_until=min(meaning.fresh_until, self._clock.monotonic() + left))


def _notice(found: furoshiki.Version) -> Notice | None:
    if found.deprecation is None:
        return None
    return Notice(since=found.deprecation.since, sunset=found.deprecation.sunset)


def _check_sunset(meaning: Meaning, model: str, now: datetime) -> None:
    sunset = None if meaning.notice is None else meaning.notice.sunset
    if sunset is not None and sunset <= now:
        raise ModelError(
            ErrorCode.MODEL_NOT_FOUND,
            f"Version {meaning.version} of model {model!r} is not served any more since {rfc3339(sunset)}. Ask for another.",
            details={"model": model, "sunset": rfc3339(sunset)},
        )
