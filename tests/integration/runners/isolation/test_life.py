# SPDX-License-Identifier: Apache-2.0
"""The process of a model from its start to its end: what it is, what it may, and that it never outlives its service."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from artifacts.source import MemorySource
from artifacts.testing import make_bundle, refused
from core.errors import ErrorCode, SignatureError
from core.telemetry import hot, metrics
from core.tensors import ANY, DType, Signature, TensorSpec
from deploy.local.stack import ROOT
from runners.batching.options import PREFIX
from runners.batching.policy import BatchLimits
from runners.bundles import ModelLoader
from runners.handle import EmbeddedHandle
from runners.interface import RunnerOptions
from runners.isolation.handle import IsolatedHandle
from runners.isolation.options import ISOLATION, IsolationOptions
from runners.testing import request_of
from tests.integration.runners.isolation.conftest import Load, install, model_processes
from tests.integration.runners.isolation.crashing import PEEK
from tests.unit.runners.test_bundles import doubling_by_four
from tests.unit.runners.test_loading import SIGNATURE, doubling

PROGRAM = Path(__file__).with_name("service_program.py")
ROW = np.ones((1, 2), np.float32)
FIXED = Signature(
    inputs=(TensorSpec(name="x", dtype=DType.FP32, shape=(4, 2)),),
    outputs=(TensorSpec(name="y", dtype=DType.FP32, shape=(4, 2)),),
)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def confined_threads(pid: int) -> set[bool]:
    """Whether each thread of a process has given up privileges, which goes with files."""
    statuses = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    return {"NoNewPrivs:\t1" in status for status in statuses}


async def test_a_model_that_asks_for_a_process_gets_one() -> None:
    """The manifest's word is enough; results, name and tensors are as in this process, declared batch included."""
    metadata = {ISOLATION: "process", PREFIX + "fixed": "true"}
    made = make_bundle({"model.onnx": doubling_by_four()}, signature=FIXED, metadata=metadata)
    options = IsolationOptions()
    loader = ModelLoader(clock=made.clock, options=RunnerOptions(), limits=BatchLimits(), isolation=options)
    loaded = await loader.load(MemorySource(made.files), subject=made.subject, policy=made.policy)
    handle = loaded.handle
    assert isinstance(handle, IsolatedHandle)
    assert (handle.runner, handle.signature) == ("onnx-cpu", FIXED.with_any_batch())
    assert handle.signature.inputs[0].shape == (ANY, 2)
    assert loaded.size > made.manifest.size + 2**20  # what the process takes counts for the cache
    results = await asyncio.gather(*(handle.infer(request_of({"x": np.full((1, 2), n, np.float32)})) for n in range(6)))
    assert [result["y"].tolist() for result in results] == [[[2 * n, 2 * n]] for n in range(6)]
    assert handle.statistics().success.count == 6
    await handle.close()


async def test_a_process_that_has_one_model_anyway_makes_no_other() -> None:
    """A loader without isolation, as in a split runner, loads in its own process whatever the manifest asks for."""
    made = make_bundle({"model.onnx": doubling()}, signature=SIGNATURE, metadata={ISOLATION: "process"})
    loader = ModelLoader(clock=made.clock, options=RunnerOptions(), limits=BatchLimits())
    loaded = await loader.load(MemorySource(made.files), subject=made.subject, policy=made.policy)
    assert isinstance(loaded.handle, EmbeddedHandle)
    await loaded.handle.close()


async def test_what_does_not_verify_never_meets_a_process() -> None:
    """A changed file is refused before anything is started."""
    made = make_bundle({"model.onnx": doubling()}, signature=SIGNATURE)
    made.files["model.onnx"] = made.files["model.onnx"][:-1] + b"x"
    options = IsolationOptions(mode="process")
    loader = ModelLoader(clock=made.clock, options=RunnerOptions(), limits=BatchLimits(), isolation=options)
    with pytest.raises(SignatureError):
        await loader.load(MemorySource(made.files), subject=made.subject, policy=made.policy)
    assert not model_processes()


async def test_other_tensors_than_declared_are_refused() -> None:
    """The process holds the model against the signed manifest, as a runner in this process does."""
    other = Signature(inputs=SIGNATURE.inputs, outputs=(*SIGNATURE.outputs, SIGNATURE.inputs[0]))
    made = make_bundle({"model.onnx": doubling()}, signature=other)
    options = IsolationOptions(mode="process")
    loader = ModelLoader(clock=made.clock, options=RunnerOptions(), limits=BatchLimits(), isolation=options)
    with refused(ErrorCode.MODEL_INVALID, "acme/digits@3"):
        await loader.load(MemorySource(made.files), subject=made.subject, policy=made.policy)


async def test_the_process_has_nothing_of_the_service(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the service, no descriptor but its own, no file of the system's users, no way into the network."""
    monkeypatch.setenv("FUROSHIKI_VAULT__TOKEN", "s3cr3t")
    open_here = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(open_here, True)
    handle = await load()
    os.close(open_here)
    process = psutil.Process(handle._process.pid)
    assert "FUROSHIKI_VAULT__TOKEN" not in process.environ()
    assert process.cmdline()[-1] == "acme/digits@3"
    opened = [os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{process.pid}/fd")]
    assert "/etc/passwd" not in opened
    reached = await handle.infer(request_of({"x": np.full((1, 2), PEEK, np.float32)}))
    assert reached["y"].tolist() == [[0, 0]]
    assert confined_threads(process.pid) == {True}


async def test_unloading_ends_it_and_frees_all_it_had(load: Load) -> None:
    """Close may be called twice; the process, its memory, descriptors and metric are gone with the first."""
    before = descriptors()
    handle = await load()
    pid = handle._process.pid
    assert pid is not None
    assert handle.memory > 2**20
    gauge = metrics.MODEL_PROCESS_BYTES.labels("acme", "digits", "3")
    hot.flush()
    assert gauge._value.get() == pytest.approx(handle.memory, rel=0.5)
    started = time.monotonic()
    await handle.close()
    assert time.monotonic() - started < 5
    assert not psutil.pid_exists(pid)
    assert (gauge._value.get(), handle.memory, handle.ready) == (0, 0, False)
    with refused(ErrorCode.MODEL_NOT_READY):
        await handle.infer(request_of({"x": ROW}))
    await handle.close()
    assert descriptors() == before


def of_version(version: int) -> list[psutil.Process]:
    """The processes of the model of that version, whoever started them."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cmdline()[-1:] == [f"acme/digits@{version}"]:
                found.append(process)
        except psutil.Error:
            continue
    return found


def gone(version: int, within_s: float) -> bool:
    end = time.monotonic() + within_s
    while of_version(version):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.fault("a service with isolated models is killed")
def test_no_process_outlives_its_service(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """kill -9 of the service while it starts, while it loads, and while it serves: the model's process is gone soon."""
    folder = install(tmp_path / "site")
    version = 10_000 + os.getpid()
    for moment in (0.0, 0.3, None):
        service = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(folder), str(version)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"},
            cwd=ROOT,
        )
        assert service.stdout is not None
        if moment is None:
            assert service.stdout.readline()
        else:
            while not psutil.Process(service.pid).children():
                time.sleep(0.001)
            time.sleep(moment)
        service.kill()
        service.wait()
        service.stdout.close()
        assert gone(version, 2)
    record_property("moments", 3)
