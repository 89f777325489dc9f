# SPDX-License-Identifier: Apache-2.0
"""The ports through which processes of one installation help each other. Nothing of it is needed for correctness."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol, TypeAlias

EVERY_TENANT: Final = "*"  # in place of a tenant: of any tenant, something may have changed

Heard: TypeAlias = Callable[[str], None]  # told the name of a tenant of which something changed


class Announcer(Protocol):
    """Tells other processes that something of a tenant changed."""

    async def tell(self, tenant: str) -> None:
        """Says so, after the change was committed. Who cannot be told finds out later by looking; never an error."""
        ...


class Turn:
    """A turn at heavy work.

    Args:
        token: Higher than that of every turn before; None: nobody decides about turns now, and everybody has one.
    """

    def __init__(self, token: int | None) -> None:
        self.token = token
        self.lost = False  # it ended, because this process did not renew it in time; another one may have it


class Turns(Protocol):
    """Who may do heavy work now."""

    def take(self, name: str, *, among: int, wait_s: float) -> AbstractAsyncContextManager[Turn]:
        """Waits for a turn, keeps it while the block runs, and gives it back.

        Args:
            name: Of the work.
            among: Processes that may do it at once.
            wait_s: Seconds after which the work is done without one.
        """
        ...

    def try_take(self, name: str) -> AbstractAsyncContextManager[Turn | None]:
        """The only turn there is, or None if another process has it now."""
        ...
