# SPDX-License-Identifier: Apache-2.0
"""A real worker process for the tests beside it: ``worker_program.py URL NAME SLOW_ATTEMPTS``.

Its one handler starts a child that says where it is, waits if the attempt is among the slow ones, and leaves one row in
the table ``results``.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from sqlalchemy import text

from core.clock import SystemClock
from registry_api.db.engine import create_engine
from registry_api.db.session import Database, Session
from registry_api.jobs.interface import JobKind, JobTask, Outcome
from registry_api.jobs.lease import LeasePolicy
from registry_api.jobs.process import plain_environment, run_child
from registry_api.jobs.queue import JobQueue
from registry_api.jobs.testing import FunctionHandler
from registry_api.jobs.worker import Worker

POLICY = LeasePolicy(seconds=1.0, heartbeat_seconds=0.1, max_attempts=3, retry_seconds=0.05)
CHILD = "import os, sys, time; print('child', os.getpid(), flush=True); time.sleep(float(sys.argv[1]))"


async def main(url: str, name: str, slow: int) -> None:
    database = Database(create_engine(url))
    queue = JobQueue(database, SystemClock(), POLICY, owner=name)

    async def work(task: JobTask) -> Outcome:
        seconds = "600" if task.job.attempt <= slow else "0"
        await run_child(
            [sys.executable, "-c", CHILD, seconds],
            job_id=task.job.id,
            env=plain_environment(),
            cwd=Path.cwd(),
            log=task.log,
        )

        async def apply(session: Session) -> None:
            await session.execute(
                text("INSERT INTO results (job, worker) VALUES (:job, :worker)"), {"job": task.job.id, "worker": name}
            )

        return Outcome(result={"worker": name}, apply=apply)

    handlers = {JobKind.BUILD: FunctionHandler(work=work)}
    worker = Worker(queue, handlers, SystemClock(), slots=4, poll_seconds=0.05, drain_seconds=0.1)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    print("ready", flush=True)
    await worker.run()
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
