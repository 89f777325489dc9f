# SPDX-License-Identifier: Apache-2.0
"""Where batches of the request log go."""

from __future__ import annotations

from typing import Protocol

from services.dataplane.requestlog.batches import Batch


class NotTaken(Exception):
    """The batch was refused; sending it again is pointless."""


class Sink(Protocol):
    """A place for batches."""

    async def put(self, batch: Batch) -> None:
        """Delivers a batch.

        Raises:
            NotTaken: If it will never be taken.
            OSError, httpx.HTTPError, TransientError: If it may be taken later.
        """
        ...

    async def close(self) -> None:
        """Ends connections. May be called twice."""
        ...
