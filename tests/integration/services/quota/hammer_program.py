# SPDX-License-Identifier: Apache-2.0
"""One process that tries to let requests of one tenant in: URL, processes, rate, burst, seconds. Prints a JSON."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[4]))

from artifacts.coordination.link import Link
from core.clock import SystemClock
from core.errors import Overloaded
from services.dataplane.gate import Gate
from services.dataplane.quota.shared import SharedThroughRedis
from services.edge.context import Principal, TenantLimits


async def main(url: str, processes: int, rate: float, burst: int, seconds: float) -> None:
    """Hammers."""
    clock = SystemClock()
    link = Link(url, timeout_s=2.0, clock=clock)
    sharing = SharedThroughRedis(link, processes=processes, prefix="hammer", clock=clock)
    await sharing.start()
    gate = Gate(sharing=sharing, clock=clock)
    who = Principal(tenant="acme", key_id="k", limits=TenantLimits(requests_per_second=rate, burst=burst))
    began, passed = time.time(), 0
    while time.time() < began + seconds:
        try:
            gate.enter(who)
        except Overloaded:
            await asyncio.sleep(0.001)
        else:
            gate.leave(who)
            passed += 1
            await asyncio.sleep(0)
    ended = time.time()
    await gate.close()
    await link.close()
    print(json.dumps({"passed": passed, "began": began, "ended": ended}))


asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])))
