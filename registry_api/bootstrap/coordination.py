# SPDX-License-Identifier: Apache-2.0
"""How the registry's processes and the inference services reach each other. Part of the composition root.

What a process commits about a tenant's models it tells through Redis, after the commit. Whoever remembers what a name means
forgets it then: inference services, and :class:`~registry_api.models.resolving.ResolveCache` in every other process of the
registry. Without Redis each of them finds out by its own limit, within seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from artifacts.coordination.alone import Alone
from artifacts.coordination.interface import Announcer, Turns
from core.clock import Clock
from registry_api.db.session import EVERY_TENANT
from registry_api.models.resolving import ResolveCache
from registry_api.models.watching.repository import listen
from registry_api.settings.registry import RedisSettings


class Herald:
    """Implements :class:`~registry_api.models.watching.repository.ModelsListener`: passes changes on to other processes.

    Args:
        announcer: Tells them.
    """

    def __init__(self, announcer: Announcer) -> None:
        self._announcer = announcer
        self._telling: set[asyncio.Task[None]] = set()
        listen(self)

    def models_changed(self, tenant: str | None) -> None:
        task = asyncio.get_running_loop().create_task(self._announcer.tell(tenant or EVERY_TENANT))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def close(self) -> None:
        """Waits until everything was told; each takes at most as long as Redis may."""
        await asyncio.gather(*self._telling)


@asynccontextmanager
async def coordinated(settings: RedisSettings, clock: Clock, cache: ResolveCache | None = None) -> AsyncIterator[Turns]:
    """Tells other processes of changes, hears of theirs, and decides about turns, while the block runs.

    Args:
        settings: Where Redis is.
        clock: For its pauses.
        cache: Forgets what other processes changed; None: this process remembers nothing.

    Raises:
        InitError: ``INIT_002`` if the URL of Redis is none.
    """
    if settings.url is None:
        yield Alone()
        return
    from artifacts.coordination.link import Link
    from artifacts.coordination.news import News
    from artifacts.coordination.turns import RedisTurns

    link = Link(settings.url.get_secret_value(), timeout_s=settings.timeout_s, clock=clock)
    news = News(link, prefix=settings.prefix)
    herald = Herald(news)
    if cache is not None:
        news.listen(lambda tenant: cache.forget(None if tenant == EVERY_TENANT else tenant))
    try:
        yield RedisTurns(link, prefix=settings.prefix, clock=clock)
    finally:
        await herald.close()
        await news.close()
        await link.close()
