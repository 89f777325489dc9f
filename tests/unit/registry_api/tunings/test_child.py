# SPDX-License-Identifier: Apache-2.0
"""The measuring child as the registry sees it: a bundle in a folder goes in, a tuning or a reason comes out."""

from __future__ import annotations

from pathlib import Path

import pytest

from artifacts.testing import Bundle, make_bundle, refused
from core.errors import ErrorCode
from registry_api.jobs.interface import JobKind
from registry_api.jobs.testing import RecordingTask, a_job
from registry_api.models.source import Source
from registry_api.tunings.child import MeasureLimits, measure_in_child
from tests.unit.runners.test_loading import SIGNATURE, doubling

LIMITS = MeasureLimits(budget_seconds=0.5)


@pytest.fixture
def task() -> RecordingTask:
    return RecordingTask(job=a_job(id="j1", kind=JobKind.TUNE))


def staged(folder: Path, data: bytes) -> tuple[Source, Path]:
    """A signed bundle of one model and its trust policy below a new folder; what it is, and the folder."""
    scratch = folder / "work"
    scratch.mkdir()
    bundle: Bundle = make_bundle({"model.onnx": data}, signature=SIGNATURE)
    bundle.write(scratch / "model")
    (scratch / "trust").mkdir()
    (scratch / "trust" / "acme.json").write_bytes(bundle.policy.to_bytes())
    manifest = bundle.manifest
    source = Source(
        tenant=manifest.tenant,
        model=manifest.model,
        version=manifest.version,
        variant=manifest.variant,
        format=manifest.format,
        digest=manifest.digest,
        signature_digest="sha256:" + "0" * 64,
    )
    return source, scratch


async def test_a_model_is_measured_and_every_point_told(tmp_path: Path, task: RecordingTask) -> None:
    """The choice is among the points, each of which was a line of the log and a step of the progress."""
    tuning = await measure_in_child(*staged(tmp_path, doubling()), LIMITS, task)
    assert (tuning.chosen.instances, tuning.chosen.threads) in {(p.instances, p.threads) for p in tuning.measurements}
    assert len([line for line in task.lines if "rows/s" in line]) == len(tuning.measurements)
    fractions = [fraction for fraction, _ in task.steps]
    assert fractions == sorted(fractions)
    assert fractions[-1] <= 0.95


async def test_what_the_runtime_refuses_is_told(tmp_path: Path, task: RecordingTask) -> None:
    """A signed file that is no model ends with JOB_002 and the runtime's reason."""
    with refused(ErrorCode.JOB_FAILED, "MODEL_003", "onnxruntime"):
        await measure_in_child(*staged(tmp_path, b"not a model"), LIMITS, task)


async def test_the_child_believes_nobody(tmp_path: Path, task: RecordingTask) -> None:
    """A file changed after the registry verified it is refused by the child itself."""
    source, scratch = staged(tmp_path, doubling())
    (scratch / "model" / "model.onnx").write_bytes(doubling() + b"x")
    with refused(ErrorCode.JOB_FAILED, "SIGN_004"):
        await measure_in_child(source, scratch, LIMITS, task)


async def test_a_child_without_memory_ends_with_its_last_lines(tmp_path: Path, task: RecordingTask) -> None:
    """Whatever the limit on memory breaks, the job fails and says so."""
    with refused(ErrorCode.JOB_FAILED):
        await measure_in_child(*staged(tmp_path, doubling()), MeasureLimits(memory_bytes=200 << 20), task)
