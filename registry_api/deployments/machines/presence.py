# SPDX-License-Identifier: Apache-2.0
"""Says again and again that this machine is there, and tells which others are not heard of any more.

Rules. It has a loop of its own: whatever keeps a worker from looking at what runs (a large image, a slow disk) does not make
its machine silent. A machine of which nobody ever wrote is believed: its workers may be of a version that did not write.
"""

from __future__ import annotations

from typing import Final
from uuid import uuid4

from core.clock import Clock, rfc3339
from core.telemetry.logs import get_logger
from registry_api.db.session import EVERY_TENANT, Database
from registry_api.deployments.looking import keep_looking
from registry_api.deployments.machines.repository import Machine, MachineRepository
from registry_api.deployments.machines.silence import Silence

LOOKS: Final = 4  # at least so many while a machine is believed

_log = get_logger(__name__)


class Presence:
    """One machine among others.

    Args:
        db: Where machines are.
        clock: Its monotonic time counts; its wall time is shown.
        host: This machine.
        seconds: How long another machine is believed that is not heard of.
    """

    def __init__(self, db: Database, clock: Clock, *, host: str, seconds: float) -> None:
        self.host = host
        self._db = db
        self._clock = clock
        self._seconds = seconds
        self._silence = Silence(seconds)
        self._silent: dict[str, Machine] = {}

    @property
    def silent(self) -> frozenset[str]:
        """The machines that are not heard of."""
        return frozenset(self._silent)

    def told(self, host: str) -> str:
        """That a machine is silent, in words."""
        return f"Machine {host} has not been heard of since {rfc3339(self._silent[host].seen_at)}"

    async def run(self, *, every: float) -> None:
        """Looks every ``every`` seconds, or as often as silence needs, until cancelled."""
        await keep_looking(self.look, every=min(every, self._seconds / LOOKS))

    async def look(self) -> None:
        """Writes that this machine is there, and listens for the others."""
        own = Machine(host=self.host, beat=uuid4().hex, seen_at=self._clock.now())
        async with self._db.write(EVERY_TENANT) as session:
            await MachineRepository(session).beat(own)
            found = await MachineRepository(session).all()
        beats = {host: each.beat for host, each in found.items()}
        silent = self._silence.look(beats, at=self._clock.monotonic()) - {self.host}
        for host in silent - self.silent:
            _log.error("machine_silent", host=host, seconds=self._seconds)
        for host in (self.silent - silent) & beats.keys():
            _log.info("machine_heard_again", host=host)
        self._silent = {host: found[host] for host in silent}
        if silent:
            async with self._db.write(EVERY_TENANT) as session:
                for host in sorted(silent):
                    await MachineRepository(session).forget(found[host])
