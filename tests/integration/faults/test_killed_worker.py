# SPDX-License-Identifier: Apache-2.0
"""The worker's process is killed at random moments of its jobs; the next one takes them over.

Every job ends with one result, nothing of a killed attempt is visible, and what it had started is ended.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

import psutil
import pytest

from furoshiki import Client
from tests.integration.faults.forked import ForkedProcess, ForkedRegistry, eventually
from tests.integration.registry_api.rest import tiny_onnx

MOMENTS: Final = 20
JOBS: Final = 5
SETTINGS: Final = {
    "FUROSHIKI_JOBS__POLL_SECONDS": "0.05",
    "FUROSHIKI_JOBS__HEARTBEAT_SECONDS": "0.2",
    "FUROSHIKI_JOBS__LEASE_SECONDS": "1",
    "FUROSHIKI_JOBS__MAX_ATTEMPTS": "100",
    "FUROSHIKI_TUNINGS__BUDGET_SECONDS": "1",
}


def children_of(home: Path) -> list[psutil.Process]:
    """Processes at work in this registry's scratch folder."""
    scratch = str(home / "scratch")
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(scratch in word for word in process.info["cmdline"] or ())
    ]


@pytest.mark.slow
@pytest.mark.fault("kill -9 of the worker in mid-job")
def test_killed_at_random_moments_each_job_has_one_result(
    tmp_path: Path,
    chance: random.Random,
    environment: Mapping[str, str],
    record_property: Callable[[str, object], None],
) -> None:
    """Twenty kills over five jobs: each succeeds once, with one signed document, and leaves neither file nor process."""
    home, model = tmp_path / "home", tmp_path / "model.onnx"
    model.write_bytes(tiny_onnx())
    settings = {**SETTINGS, **environment}
    with ExitStack() as stack:
        registry = stack.enter_context(closing(ForkedRegistry(home, settings)))
        registry.start()
        worker = stack.enter_context(closing(ForkedProcess("worker", home, settings)))
        client = stack.enter_context(Client(registry.url, api_key=registry.admin_key, timeout=30))
        for _ in range(JOBS):
            client.models.push("digits", model)
        asked = [client.tunings.create("digits", version=number + 1) for number in range(JOBS)]
        for _ in range(MOMENTS):
            worker.start()
            time.sleep(chance.uniform(0.2, 2.0))
            worker.kill()
        worker.start()
        jobs = [client.jobs.wait(tuning.job_id, timeout=120) for tuning in asked]
        tunings = list(client.tunings.list())
        assert sorted(tuning.id for tuning in tunings) == sorted(tuning.id for tuning in asked)
        assert {tuning.state for tuning in tunings} == {"succeeded"}
        assert [job.result["tuning"] for job in jobs if job.result] == [tuning.id for tuning in asked]
        for number in range(JOBS):
            assert client.tunings.document("digits", number + 1)
        eventually(lambda: not list((home / "scratch").glob("tunings/tune-*")), lambda: "files are left", within_s=10)
        worker.stop()
        eventually(lambda: not children_of(home), lambda: f"at work still: {children_of(home)}", within_s=10)
    record_property("kills", MOMENTS)
    record_property("jobs", JOBS)
    record_property("attempts cut", sum(job.attempt - 1 for job in jobs))
