# SPDX-License-Identifier: Apache-2.0
"""Stands for a service: ``python service_program.py FOLDER VERSION`` loads a model of the crashing runner and waits.

Once it is loaded it prints the process's id.
"""

from __future__ import annotations

import asyncio
import sys

from core.telemetry import logs
from runners.isolation.options import IsolationOptions
from tests.integration.runners.isolation.conftest import load_crashing


async def main(version: int) -> None:
    logs.configure(level="ERROR", service="test")
    loaded = await load_crashing(isolation=IsolationOptions(mode="process"), version=version)
    print(loaded.handle._process.pid, flush=True)  # type: ignore[attr-defined]
    await asyncio.Event().wait()


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    asyncio.run(main(int(sys.argv[2])))
