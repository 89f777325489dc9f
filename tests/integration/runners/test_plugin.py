# SPDX-License-Identifier: Apache-2.0
"""The example plugin of the documentation, installed as its users install it: found, held to the contract, and served."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import httpx
import numpy as np
import pytest

from artifacts.testing import make_bundle
from core.tensors import ANY, Array, DType, Signature, TensorSpec
from deploy.local.stack import ROOT
from loadtests.servers import bentoml_serve
from runners.interface import Runner, RunnerOptions
from runners.plugins import GROUP, Offer, offers
from runners.testing import RunnerContract
from tests.served import staged

EXAMPLE = ROOT / "docs" / "examples" / "furoshiki-runner-linear"
WEIGHTS = np.arange(12, dtype=np.float32).reshape(4, 3)
SIGNATURE = Signature(
    inputs=(TensorSpec(name="x", dtype=DType.FP32, shape=(ANY, 4)),),
    outputs=(TensorSpec(name="y", dtype=DType.FP32, shape=(ANY, 3)),),
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example and its metadata, as pip installs it."""
    target = tmp_path_factory.mktemp("installed")
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(EXAMPLE)]
    subprocess.run(command, check=True, timeout=120)
    return target


@pytest.fixture
def offer(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Offer]:
    """What this process finds of it."""
    monkeypatch.syspath_prepend(str(installed))
    (found,) = [item for item in offers((), metadata.entry_points(group=GROUP)) if item.name == "linear-cpu"]
    yield found
    for name in [name for name in sys.modules if name.startswith("furoshiki_runner_linear")]:
        del sys.modules[name]


class TestLinear(RunnerContract):
    lends_results = False

    @pytest.fixture(autouse=True)
    def _found(self, offer: Offer) -> None:
        self.offer = offer

    def make_runner(self, weights: Array) -> Runner:
        files = {"weights.json": json.dumps(weights.tolist()).encode()}
        return self.offer.backend().load(files, options=RunnerOptions())


def test_it_is_found_by_its_entry_point(offer: Offer) -> None:
    """With the distribution it comes from."""
    assert (offer.formats, offer.device, offer.reason) == (frozenset({"linear"}), "cpu", None)
    assert offer.origin == "furoshiki-runner-linear 1.0.0"


def test_the_commands_know_it(installed: Path, tmp_path: Path) -> None:
    """`devices` lists it, and `inspect --format linear` describes a model."""
    (tmp_path / "weights.json").write_text(json.dumps(WEIGHTS.tolist()))
    environment = {**os.environ, "PYTHONPATH": f"{installed}:{ROOT}"}

    def answer(*arguments: str) -> dict[str, list[dict[str, object]]]:
        command = [sys.executable, "-m", "runners", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True, timeout=60)
        found: dict[str, list[dict[str, object]]] = json.loads(done.stdout)
        return found

    assert "linear-cpu" in {runner["name"] for runner in answer("devices", "--json")["runners"]}
    described = answer("inspect", "--format", "linear", str(tmp_path))
    assert described["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]


def test_it_is_served(installed: Path, tmp_path: Path) -> None:
    """A signed bundle of its format is verified, loaded by it, and answered for."""
    bundle = make_bundle(
        {"weights.json": json.dumps(WEIGHTS.tolist()).encode()},
        format="linear",
        variant="linear-fp32/cpu",
        signature=SIGNATURE,
    )
    environment = staged(bundle, tmp_path) | {"PYTHONPATH": f"{installed}:{ROOT}"}
    service = "services.inference.service:Inference"
    log = tmp_path / "log"
    with bentoml_serve(service, environment=environment, log=log, ready="/v2/health/ready") as url:
        x = np.ones((2, 4), np.float32)
        tensor = {"name": "x", "datatype": "FP32", "shape": [2, 4], "data": x.ravel().tolist()}
        response = httpx.post(f"{url}/v2/models/digits/infer", json={"inputs": [tensor]}, timeout=30)
    response.raise_for_status()
    (output,) = response.json()["outputs"]
    assert output["data"] == (x @ WEIGHTS).ravel().tolist()
    assert '"runner":"linear-cpu"' in log.read_text().replace('": "', '":"')
