# SPDX-License-Identifier: Apache-2.0
"""A real process that delivers, for the tests beside it: ``courier_program.py``, settings in the environment."""

from __future__ import annotations

import asyncio

from core.clock import SystemClock
from registry_api.bootstrap.database import open_database
from registry_api.settings.registry import Settings
from registry_api.webhooks.addresses import AddressPolicy
from registry_api.webhooks.deliveries.courier import Courier, CourierOptions
from registry_api.webhooks.deliveries.sending import Sender
from registry_api.webhooks.secrets import SecretKeeper


async def main() -> None:
    policy = AddressPolicy(http=True, ports=frozenset(), loopback=True)
    sender = Sender(policy, SystemClock(), timeout_seconds=5, response_bytes=64)
    db = await open_database(Settings.read())
    await Courier(db, SystemClock(), sender, SecretKeeper(), options=CourierOptions(poll_seconds=0.02)).run()


if __name__ == "__main__":
    asyncio.run(main())
