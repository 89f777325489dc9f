# SPDX-License-Identifier: Apache-2.0
"""TFLite models through tflite-runtime 2.14.0 and numpy 1.26, in an environment of exactly the Bento's lock."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from artifacts.testing import make_bundle
from core.tensors import Array
from deploy.local.stack import ROOT, free_port
from loadtests.servers import bentoml_command, running
from runners.backends.litert.backend import LitertBackend
from runners.interface import RunnerOptions
from tests.integration.runners.backends.environment import borrowed, serving_python
from tests.integration.runners.backends.models import dense, linear_tflite, quantized
from tests.served import staged

WEIGHTS = np.arange(12, dtype=np.float32).reshape(4, 3)
BOUNDS = {"fp32": 1e-5, "fp16": 5e-3, "int8": 1e-1, "int8w16a": 5e-2, "int8dyn": 5e-2}
SERVICE = "services.inference.service:Inference"


@pytest.fixture(scope="module")
def python() -> Path:
    return serving_python()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TFLite files of today's converter, and what their source answers."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "linear.tflite").write_bytes(linear_tflite(WEIGHTS))
    (folder / "sized.tflite").write_bytes(linear_tflite(WEIGHTS, batches=(8, 1)))
    source = dense()
    x = np.random.default_rng(5).uniform(-1, 1, (8, 16)).astype(np.float32)
    for how, bound in BOUNDS.items():
        keep(folder, how, quantized(source, how), x, source(x).numpy(), bound)
    image = convolution()
    x = np.random.default_rng(6).uniform(-1, 1, (1, 32, 32, 3)).astype(np.float32)
    keep(folder, "image-int8", quantized(image, "int8"), x, image(x).numpy(), 5e-2)
    return folder


def convolution() -> Any:
    """A small image classifier with random weights from a fixed seed."""
    import tensorflow as tf

    tf.keras.utils.set_random_seed(11)
    layers = [
        tf.keras.layers.Conv2D(8, 3, strides=2, activation="relu6"),
        tf.keras.layers.DepthwiseConv2D(3, activation="relu6"),
        tf.keras.layers.GlobalAveragePooling2D(),
        tf.keras.layers.Dense(10, activation="softmax"),
    ]
    return tf.keras.Sequential([tf.keras.Input((32, 32, 3)), *layers])


def keep(folder: Path, name: str, model: bytes, x: Array, y: Array, bound: float) -> None:
    (folder / f"{name}.tflite").write_bytes(model)
    np.savez(folder / f"{name}.npz", x=x, y=y, bound=np.array(bound))


def test_it_passes_the_contract(python: Path, models: Path, tmp_path: Path) -> None:
    """The runner contract, every precision it has operators for, and refusals with a code, all in that environment."""
    suite = Path(__file__).with_name("serving_contract.py")
    options = ["-q", "-c", "/dev/null", "--rootdir", str(ROOT), "--noconftest", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [python, "-m", "pytest", *options, "--import-mode=importlib", str(suite)],
        env=borrowed(tmp_path / "pytest") | {"FUROSHIKI_TEST_MODELS": str(models)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    print(done.stdout[-300:])
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@pytest.mark.parametrize("name", ["fp32", "int8"])
def test_it_is_served(python: Path, models: Path, tmp_path: Path, name: str) -> None:
    """A signed bundle is verified, loaded and answered for, float in and out, as its successor answers."""
    model = (models / f"{name}.tflite").read_bytes()
    here = LitertBackend().load({"model.tflite": model}, options=RunnerOptions())
    bundle = make_bundle(
        {"model.tflite": model}, format="tflite", variant=f"tflite-{name}/cpu", signature=here.signature
    )
    own = {"PYTHONPATH": f"{ROOT}:{ROOT / 'sdk' / 'src'}", "PYTHONDONTWRITEBYTECODE": "1"}
    x, port, log = np.load(models / f"{name}.npz")["x"], free_port(), tmp_path / "log"
    url = f"http://127.0.0.1:{port}/v2/"
    (given,), (output,) = here.signature.inputs, here.signature.outputs
    tensor = {"name": given.name, "datatype": "FP32", "shape": list(x.shape), "data": x.ravel().tolist()}
    command = [str(python), *bentoml_command(SERVICE, port)[1:]]
    with running(command, environment=staged(bundle, tmp_path) | own, log=log, ready=url + "health/ready"):
        response = httpx.post(f"{url}models/digits/infer", json={"inputs": [tensor]}, timeout=30)
    response.raise_for_status()
    (answer,) = response.json()["outputs"]
    assert (answer["name"], answer["datatype"]) == (output.name, "FP32")
    expected = here.run({given.name: x})[output.name]
    np.testing.assert_allclose(np.reshape(answer["data"], expected.shape), expected, atol=BOUNDS[name] / 10)
    loaded = [json.loads(line) for line in log.read_text().splitlines() if '"model_loaded"' in line]
    assert [event["runner"] for event in loaded] == ["litert-cpu"]
