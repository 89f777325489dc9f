# SPDX-License-Identifier: Apache-2.0
"""The same bundle behind a runner: what the API worker opens then, and what it refuses."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from artifacts.testing import refused
from core.errors import Conflict, ErrorCode
from deploy.local.stack import ROOT
from runners.service import HostedRunner
from runners.testing import request_of
from services.edge.http import Receive, Scope, Send
from services.inference.bootstrap import build
from services.inference.settings import InferenceSettings

Served = object


async def inner(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Stands where BentoML's application stands."""


@pytest.fixture
def split(environment: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FUROSHIKI_TOPOLOGY", "split")
    monkeypatch.setenv("FUROSHIKI_SPLIT__SOCKET_DIR", str(tmp_path / "run"))


async def test_the_worker_serves_what_the_runner_verified(split: None) -> None:
    """Metadata, results and readiness are those of the runner's model; callers cannot unload what workers share."""
    runner = HostedRunner(inner)
    await runner.open()
    parts = await build(InferenceSettings.read())
    principal = await parts.authenticator.authenticate({})
    described = await parts.plane.describe(principal, "digits", None)
    assert (described.name, described.version, described.runner) == ("digits", "3", "onnx-cpu")
    rows = np.ones((2, 2), np.float32)
    request = request_of({"x": rows})
    request.model = "digits"
    response = await parts.plane.infer(principal, request, protocol="test")
    np.testing.assert_array_equal(response.outputs["y"], 2 * rows)
    assert response.digest == described.digest
    assert await parts.plane.ready()
    with pytest.raises(Conflict):
        await parts.plane._catalog.unload(principal, "digits")
    await asyncio.gather(parts.plane.close(drain_s=1), runner.close())
    assert not await parts.plane.ready()


def listens() -> bool:
    """Whether a runner has made its folder."""
    return Path(os.environ["FUROSHIKI_SPLIT__SOCKET_DIR"]).exists()


async def test_a_tampered_bundle_is_refused_by_the_runner(split: None, environment: Served) -> None:
    """The process that loads is the one that verifies; it opens no socket for a model it refuses."""
    (Path(os.environ["FUROSHIKI_BUNDLE__PATH"]) / "model.onnx").write_bytes(b"tampered")
    with refused(ErrorCode.DIGEST_MISMATCH):
        await HostedRunner(inner).open()
    assert not listens()


async def test_a_registrys_models_are_not_split(split: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for both is refused, naming the setting."""
    monkeypatch.setenv("FUROSHIKI_SOURCE", "registry")
    with refused(ErrorCode.SETTING_INVALID, "FUROSHIKI_TOPOLOGY: got 'split'"):
        await build(InferenceSettings.read())


SHAPE = """
from services.inference.service import Inference
services = Inference.all_services()
print(sorted(services), Inference.config["workers"], [len(s.apis) for s in services.values()])
print("onnxruntime" in __import__("sys").modules)
"""


@pytest.mark.parametrize(
    ("workers", "expected"), [("1", "['furoshiki'] 1 [0]"), ("3", "['furoshiki', 'furoshiki_runner'] 3 [0, 0]")]
)
def test_the_service_depends_on_a_runner_only_when_split(environment: Served, workers: str, expected: str) -> None:
    """BentoML is told of the runner for several workers only, of no API either way, and no runtime is imported for it."""
    done = subprocess.run(
        [sys.executable, "-c", SHAPE],
        env={**os.environ, "FUROSHIKI_HTTP__WORKERS": workers},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [expected, "False"]
