# SPDX-License-Identifier: Apache-2.0
"""What a tenant has in the registry, remembered for a few seconds: names of models and numbers of versions."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import Final, TypeAlias

from artifacts.coordination.interface import EVERY_TENANT
from core.clock import Clock
from core.questions import Questions
from services.dataplane.registry import RegistryGateway

_MOST_REMEMBERED: Final = 1000

Numbers: TypeAlias = tuple[int, ...]
_Subject: TypeAlias = tuple[str, str | None]  # tenant, model; None: all models of the tenant
_Answer: TypeAlias = dict[str, Numbers]  # by model


class Listing:
    """Lists models and versions.

    Args:
        gateway: Asks the registry.
        clock: For the age of an answer.
        fresh_s: Seconds an answer is used without asking again.
    """

    def __init__(self, gateway: RegistryGateway, *, clock: Clock, fresh_s: float) -> None:
        self._gateway = gateway
        self._clock = clock
        self._fresh_s = fresh_s
        self._known: OrderedDict[_Subject, tuple[float, _Answer]] = OrderedDict()
        self._questions: Questions[_Subject, _Answer] = Questions()

    async def models(self, tenant: str) -> dict[str, int | None]:
        """The models of a tenant by name, with the version each name means; None: nothing is registered yet.

        Raises:
            Unavailable: ``STORE_001`` if the registry does not answer in time.
        """
        found = await self._ask((tenant, None))
        return {name: next(iter(numbers), None) for name, numbers in found.items()}

    async def versions(self, tenant: str, model: str) -> Numbers:
        """The versions of a model, oldest first.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such model.
            Unavailable: ``STORE_001`` if the registry does not answer in time.
        """
        return (await self._ask((tenant, model)))[model]

    def forget(self, tenant: str) -> None:
        """Something of a tenant (``*``: of any) changed: it is asked for anew."""
        for subject in [subject for subject in self._known if tenant in (subject[0], EVERY_TENANT)]:
            del self._known[subject]

    async def _ask(self, subject: _Subject) -> _Answer:
        known = self._known.get(subject)
        if known is not None and self._clock.monotonic() < known[0]:
            return known[1]
        return await self._questions.ask(subject, partial(self._look_up, subject))

    async def _look_up(self, subject: _Subject) -> _Answer:
        tenant, model = subject
        asked = self._clock.monotonic()
        if model is None:
            answer: _Answer = {
                found.name: tuple(n for n in (found.production_version or found.latest_version,) if n is not None)
                for found in await self._gateway.models(tenant)
            }
        else:
            answer = {model: tuple(sorted(await self._gateway.versions(tenant, model)))}
        self._known[subject] = asked + self._fresh_s, answer
        self._known.move_to_end(subject)
        if len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)
        return answer
