# SPDX-License-Identifier: Apache-2.0
"""A job for handlers that are called outside any worker."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from registry_api.jobs.interface import Job, JobKind
from registry_api.jobs.states import JobState


@pytest.fixture
def job() -> Job:
    return Job(
        id=uuid4().hex,
        tenant="acme",
        kind=JobKind.BUILD,
        state=JobState.RUNNING,
        spec={},
        progress=0.0,
        step="",
        attempt=1,
        max_attempts=3,
        cancel_requested=False,
        error=None,
        result=None,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        started_at=None,
        finished_at=None,
    )
