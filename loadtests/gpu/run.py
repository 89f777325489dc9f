# SPDX-License-Identifier: Apache-2.0
"""The parts of a run in their order: the contract in a process of its own, then the benchmark in this one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Final

import torch

from deploy.local.stack import ROOT
from loadtests.bench.results import Machine
from loadtests.gpu.benchmark import CUDA, QUICK, Effort, copies, executions
from loadtests.gpu.results import Checked, Device, Results, as_text
from runners.hardware.cuda import cuda_here, visible
from runners.loading import backends

SUITE: Final = Path(__file__).with_name("contract.py")
NEEDED: Final = ("onnx-cuda", "torch-cuda")
_SECONDS: Final = 900.0
_PACKAGES: Final = ("torch", "onnxruntime-gpu", "numpy")


def unusable() -> str | None:
    """None if both runtimes can use the device, else why not."""
    reasons = [f"{offer.name}: {offer.reason}" for offer in backends() if offer.name in NEEDED and offer.reason]
    if not reasons and not torch.cuda.is_available():
        reasons = [f"torch {torch.__version__} finds no CUDA device"]
    return "; ".join(reasons) or None


def run(*, quick: bool) -> int:
    """Contract, benchmark, file, figures; the exit code."""
    effort = QUICK if quick else Effort()
    results = Results(
        started=datetime.now(UTC),
        machine=Machine.here(),
        device=_device(),
        versions=_versions(),
        quick=quick,
        contract=contract(),
        timings=executions(CUDA, effort),
        copies=copies(CUDA, effort),
    )
    print(f"{as_text(results)}\n{results.write()}")
    return 0 if results.passed else 1


def contract(options: Sequence[str] = ()) -> list[Checked]:
    """The suite's outcomes, from a process of its own: a kernel that fails there ends the device's context there.

    Args:
        options: For pytest.
    """
    with tempfile.TemporaryDirectory(prefix="furoshiki-gpu-") as folder:
        report = Path(folder) / "report.xml"
        plain = ["-q", "--show-capture=no", "-c", "/dev/null", "--rootdir", str(ROOT), "--noconftest"]
        subprocess.run(
            [sys.executable, "-m", "pytest", *plain, "-p", "no:cacheprovider", f"--junitxml={report}", *options, SUITE],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=sys.stderr,
            timeout=_SECONDS,
            check=False,
        )
        return [_checked(case) for case in ET.parse(report).iter("testcase")] if report.is_file() else []


def _checked(case: ET.Element) -> Checked:
    test = f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"
    for kind, outcome in (("failure", "failed"), ("error", "error"), ("skipped", "skipped")):
        found = case.find(kind)
        if found is not None:
            return Checked(test=test, outcome=outcome, message=str(found.get("message", ""))[:500])
    return Checked(test=test, outcome="passed", message="")


def _device() -> Device:
    cuda = cuda_here()
    first = visible(cuda.devices)[0]
    return Device(
        name=first.name,
        uuid=first.uuid,
        memory_bytes=first.memory_bytes,
        free_bytes=first.free_bytes,
        driver=cuda.driver,
    )


def _versions() -> dict[str, str]:
    found = {name: metadata.version(name) for name in _PACKAGES}
    return {**found, "CUDA of torch": str(torch.version.cuda), "cuDNN of torch": str(torch.backends.cudnn.version())}
