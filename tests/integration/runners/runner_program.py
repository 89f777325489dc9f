# SPDX-License-Identifier: Apache-2.0
"""A runner in a process of its own: ``python runner_program.py SOCKET [held]``. Held, it answers no request."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop

from runners.batching.policy import BatchLimits
from runners.cache import LoadedModel
from runners.handle import EmbeddedHandle
from runners.interface import RunnerOptions
from runners.remote.endpoint import Listener
from runners.remote.limits import WireLimits
from runners.remote.server import RunnerServer
from runners.testing import FakeRunner


def served(runner: FakeRunner) -> LoadedModel:
    """The fake runner as the loader would leave it."""
    handle = EmbeddedHandle(runner, limits=BatchLimits(inline_below_s=0), options=RunnerOptions(), label="acme/fake@1")
    return LoadedModel(
        tenant="acme",
        model="fake",
        version="1",
        digest="sha256:" + "ab" * 32,
        key_id="cd" * 32,
        size=1,
        handle=handle,
        output_dtypes={spec.name: spec.dtype for spec in runner.signature.outputs},
    )


async def main(path: Path, *, held: bool) -> None:
    runner = FakeRunner()
    if held:
        runner.gate.clear()
    server = RunnerServer(served(runner), Listener(path), limits=WireLimits())
    await asyncio.Event().wait()
    await server.close(drain_s=0)


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), held="held" in sys.argv))
