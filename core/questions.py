# SPDX-License-Identifier: Apache-2.0
"""Questions to another service: one at a time per subject, a bounded number in all.

A caller that goes away leaves the answer to the others. Beyond the bound the answer is ``QUEUE_001`` at once, so that a flood
of unknown names or keys neither loads that service without limit nor gathers tasks here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Final, Generic, TypeVar

from core.errors import ErrorCode, Overloaded

MOST_QUESTIONS: Final = 256

Subject = TypeVar("Subject", bound=Hashable)
Answer = TypeVar("Answer")


class Questions(Generic[Subject, Answer]):
    """The questions under way."""

    def __init__(self) -> None:
        self._asking: dict[Subject, asyncio.Task[Answer]] = {}

    def __len__(self) -> int:
        return len(self._asking)

    async def ask(self, subject: Subject, question: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        """The answer to the question under way about ``subject``, or to a new one.

        Raises:
            Overloaded: ``QUEUE_001`` if too many are under way.
            FuroshikiError: What the question raised, to everybody who waited for it.
        """
        task = self._asking.get(subject)
        if task is None:
            if len(self._asking) >= MOST_QUESTIONS:
                raise Overloaded(ErrorCode.QUEUE_FULL, "Too much is being looked up at the moment.", retry_after=1.0)
            task = self._begin(subject, question)
        return await asyncio.shield(task)

    def start(self, subject: Subject, question: Callable[[], Coroutine[Any, Any, Answer]]) -> None:
        """Asks beside whoever calls; nothing if ``subject`` is being asked about or too many questions are under way."""
        if subject not in self._asking and len(self._asking) < MOST_QUESTIONS:
            self._begin(subject, question)

    def _begin(self, subject: Subject, question: Callable[[], Coroutine[Any, Any, Answer]]) -> asyncio.Task[Answer]:
        task = self._asking[subject] = asyncio.ensure_future(question())
        task.add_done_callback(lambda done: self._answered(subject, done))
        return task

    def _answered(self, subject: Subject, task: asyncio.Task[Answer]) -> None:
        del self._asking[subject]
        if not task.cancelled():
            task.exception()  # seen, even when everybody who waited has gone
