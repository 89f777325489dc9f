# SPDX-License-Identifier: Apache-2.0
"""The queue and the service of jobs, on a database of its own."""

from __future__ import annotations

import pytest

from core.clock import ManualClock
from registry_api.db.session import Database
from registry_api.jobs.lease import LeasePolicy
from registry_api.jobs.queue import JobQueue
from registry_api.jobs.service import JobService


@pytest.fixture
def service(database: Database, clock: ManualClock) -> JobService:
    return JobService(database, clock, max_attempts=3, queued=100)


@pytest.fixture
def queue(database: Database, clock: ManualClock) -> JobQueue:
    policy = LeasePolicy(seconds=30, heartbeat_seconds=0.01, retry_seconds=2, log_bytes=1000)
    return JobQueue(database, clock, policy, owner="worker-1")
