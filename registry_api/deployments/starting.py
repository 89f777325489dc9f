# SPDX-License-Identifier: Apache-2.0
"""Starts what was verified and waits until it answers a real inference; ends it again if it does not."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from typing import Final

import httpx

from core.errors import ErrorCode, JobError
from core.tensors import TensorSpec
from registry_api.deployments.credentials import ProbeKeys
from registry_api.deployments.logs import last_lines
from registry_api.deployments.readiness import Probe, until
from registry_api.deployments.target import Launch, Started, Target
from registry_api.deployments.values import AuthMode
from registry_api.jobs.interface import JobTask

STARTS: Final = 3  # how many ports are tried
_PORT_TAKEN: Final = "address already in use"


@dataclass(frozen=True, slots=True, kw_only=True)
class Starting:
    """What is started."""

    tenant: str
    model: str
    inputs: tuple[TensorSpec, ...]  # of the model
    launch: Launch
    target: Target


class PortTaken(JobError):
    """Another process took the port first."""


class Starter:
    """Starts instances and proves them ready.

    Args:
        probe_keys: Keys for the proving inference.
        ready_seconds: From the start of a process to its answer.
    """

    def __init__(self, probe_keys: ProbeKeys, *, ready_seconds: float) -> None:
        self._probe_keys = probe_keys
        self._ready_seconds = ready_seconds

    async def start(self, what: Starting, task: JobTask) -> Started:
        """Starts it on a free port. Unless this returns, nothing of it is left running.

        Raises:
            JobError: ``JOB_002`` if it ended or answered wrongly, ``JOB_003`` if it did not become ready in time; its last
                lines are in the message.
        """
        for left in reversed(range(STARTS)):
            started = await asyncio.to_thread(what.target.start, what.launch)
            task.log(f"waiting for {started.url}")
            try:
                await self._prove(what, started)
            except BaseException as error:
                await asyncio.shield(asyncio.to_thread(what.target.end_run, what.launch.run, started.pid))
                if not (isinstance(error, PortTaken) and left):
                    raise
                task.log(f"{started.url} was taken by another process; trying another port")
                await asyncio.to_thread(shutil.rmtree, what.launch.logs, ignore_errors=True)
                continue
            task.log(f"{started.url} answered an inference of zeros")
            return started
        raise AssertionError("unreachable")

    async def _prove(self, what: Starting, started: Started) -> None:
        if what.launch.auth is AuthMode.OPEN:
            await self._ask(what, started, credential=None)
            return
        async with self._probe_keys.key(what.tenant) as credential:
            await self._ask(what, started, credential=credential)

    async def _ask(self, what: Starting, started: Started, *, credential: str | None) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            probe = Probe(client, started, model=what.model, inputs=what.inputs, credential=credential)

            async def ready() -> bool:
                if not await asyncio.to_thread(what.target.alive, what.launch.run, started.pid):
                    raise await asyncio.to_thread(_ended, what.launch)
                listens = await asyncio.to_thread(what.target.answers, what.launch.run, started.url)
                return listens and await probe.ready()  # a stranger on the port is not even asked

            if not await until(ready, timeout=self._ready_seconds):
                lines = await asyncio.to_thread(last_lines, what.launch.logs)
                raise JobError(
                    ErrorCode.JOB_TIMEOUT,
                    f"The deployment was not ready within {self._ready_seconds:g} s. Its last lines:\n{lines}",
                )
            await probe.infer()


def _ended(launch: Launch) -> JobError:
    lines = last_lines(launch.logs)
    kind = PortTaken if _PORT_TAKEN in lines.lower() else JobError
    return kind(ErrorCode.JOB_FAILED, f"The deployment ended before it was ready. Its last lines:\n{lines}")
