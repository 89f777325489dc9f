# SPDX-License-Identifier: Apache-2.0
"""What can be converted into what, as ``python -m converters list --json`` tells on this machine.

The registry imports no converter: a child is asked, and its answer kept while this process lives. Workers on other machines
may have more or less installed; a conversion that cannot be taken where it runs fails with the reason.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE
from typing import Final

from core.errors import DeadlineExceeded, ErrorCode, OperatorError
from registry_api.conversions.schemas import RoutesOut
from registry_api.jobs.process import own_environment

_SECONDS: Final = 60.0


class ConverterRoutes:
    """The catalogue of converters."""

    def __init__(self) -> None:
        self._known: RoutesOut | None = None
        self._asking = asyncio.Lock()

    async def get(self) -> RoutesOut:
        """Every recipe and route.

        Raises:
            OperatorError: ``INTERNAL_001`` if the child fails.
            DeadlineExceeded: ``TIMEOUT_001`` if it does not answer in time.
        """
        async with self._asking:
            if self._known is None:
                self._known = RoutesOut.model_validate_json(await _asked())
        return self._known


async def _asked() -> bytes:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "converters", "list", "--json"),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=DEVNULL,
        env=own_environment(),
    )
    try:
        async with asyncio.timeout(_SECONDS):
            answer, _ = await child.communicate()
    except TimeoutError:
        child.kill()
        await child.wait()
        raise DeadlineExceeded(ErrorCode.TIMEOUT, "The converters did not list themselves in time.") from None
    if child.returncode != 0:
        raise OperatorError(ErrorCode.INTERNAL, f"The converters cannot be listed: status {child.returncode}.")
    return answer
