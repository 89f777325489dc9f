# SPDX-License-Identifier: Apache-2.0
"""A job for handlers that are called outside any worker."""

from __future__ import annotations

import pytest

from registry_api.jobs.interface import Job
from registry_api.jobs.testing import a_job


@pytest.fixture
def job() -> Job:
    return a_job()
