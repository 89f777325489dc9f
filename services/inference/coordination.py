# SPDX-License-Identifier: Apache-2.0
"""How this process and others of the installation reach each other: through Redis, or not at all.

What speaks to Redis is imported only where it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from artifacts.coordination.alone import Alone
from artifacts.coordination.interface import Heard, Turns
from core.clock import Clock
from services.inference.settings import InferenceSettings

if TYPE_CHECKING:
    from artifacts.coordination.link import Link
    from artifacts.coordination.news import News


@dataclass(frozen=True, slots=True, kw_only=True)
class Coordination:
    """Turns at heavy work, news of the registry, and the way to Redis. None: there is no Redis."""

    turns: Turns
    news: News | None = None
    link: Link | None = None

    def listen(self, heard: Heard) -> None:
        """Has ``heard`` told of each tenant of which something changed, where there are news."""
        if self.news is not None:
            self.news.listen(heard)

    async def close(self) -> None:
        """Hears nothing any more and closes the connections; may be called twice."""
        if self.news is not None and self.link is not None:
            await self.news.close()
            await self.link.close()


def coordination_of(settings: InferenceSettings, *, clock: Clock) -> Coordination:
    """What the settings name; nothing is asked of Redis yet.

    Raises:
        InitError: ``INIT_002`` if the URL of Redis is none.
    """
    redis = settings.redis
    if redis.url is None:
        return Coordination(turns=Alone())
    from artifacts.coordination.link import Link
    from artifacts.coordination.news import News
    from artifacts.coordination.turns import RedisTurns

    link = Link(redis.url.get_secret_value(), timeout_s=redis.timeout_s, clock=clock)
    turns = RedisTurns(link, prefix=redis.prefix, clock=clock)
    return Coordination(turns=turns, news=News(link, prefix=redis.prefix), link=link)
