# SPDX-License-Identifier: Apache-2.0
"""SavedModels: the contract, signatures, and graphs that reach beyond themselves."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from artifacts.testing import refused
from core.errors import ErrorCode
from core.tensors import Array
from runners.backends.tensorflow.backend import TensorflowBackend
from runners.interface import Runner, RunnerOptions
from runners.testing import RunnerContract
from tests.integration.runners.backends.models import files_of, saved_model

WEIGHTS = np.arange(12, dtype=np.float32).reshape(4, 3)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return saved_model(WEIGHTS, tmp_path_factory.mktemp("linear"))


class TestTensorflow(RunnerContract):
    def make_runner(self, weights: Array) -> Runner:
        with tempfile.TemporaryDirectory() as folder:
            return TensorflowBackend().load(saved_model(weights, Path(folder)), options=RunnerOptions(instances=2))


def test_a_signature_may_be_named(files: dict[str, bytes]) -> None:
    """`serving_default` without a name; a name that is not there is refused with those that are."""
    x = np.ones((1, 4), np.float32)
    runner = TensorflowBackend().load(files, options=RunnerOptions(entry="twice"))
    np.testing.assert_allclose(runner.run({"x": x})["y"], 2 * x @ WEIGHTS)
    with refused(ErrorCode.MODEL_INVALID, "serving_default", "twice"):
        TensorflowBackend().load(files, options=RunnerOptions(entry="thrice"))


def test_a_model_in_a_folder_of_the_bundle(files: dict[str, bytes]) -> None:
    """The SavedModel may lie in a folder, beside other files."""
    moved = {"notes.txt": b"", **{f"model/1/{path}": data for path, data in files.items()}}
    runner = TensorflowBackend().load(moved, options=RunnerOptions())
    assert runner.run({"x": np.ones((2, 4), np.float32)})["y"].shape == (2, 3)


def test_nothing_stays_on_disk(files: dict[str, bytes]) -> None:
    """The folder that TensorFlow reads is gone when the model is loaded, or refused."""
    before = {path.name for path in Path("/dev/shm").iterdir()}
    TensorflowBackend().load(files, options=RunnerOptions())
    with refused(ErrorCode.MODEL_INVALID):
        TensorflowBackend().load({**files, "variables/variables.index": b"damaged"}, options=RunnerOptions())
    assert not {name for name in {path.name for path in Path("/dev/shm").iterdir()} - before if "furoshiki-" in name}


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"not a graph", b""])
def test_a_file_that_is_no_model_is_refused(data: bytes) -> None:
    """Garbage and emptiness are MODEL_003."""
    with refused(ErrorCode.MODEL_INVALID):
        TensorflowBackend().load({"saved_model.pb": data}, options=RunnerOptions())


def exported(compute: Callable[[Any], Any], folder: Path) -> dict[str, bytes]:
    module = tf.Module()
    function = tf.function(compute, input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": function})
    return files_of(folder)


@pytest.mark.parametrize(
    ("compute", "operator"),
    [
        (lambda x: {"y": tf.strings.length(tf.io.read_file("/etc/passwd"))}, "ReadFile"),
        (lambda x: {"y": tf.numpy_function(lambda a: a, [x], tf.float32)}, "PyFunc"),
        (lambda x: {"y": tf.raw_ops.MatchingFiles(pattern="/etc/*")}, "MatchingFiles"),
        (
            lambda x: {
                "y": tf.raw_ops.RestoreV2(prefix="/x", tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32])[
                    0
                ]
            },
            "RestoreV2",
        ),
    ],
    ids=["read", "python", "list", "restore"],
)
def test_a_graph_that_reaches_beyond_itself_is_refused(
    tmp_path: Path, compute: Callable[[Any], Any], operator: str
) -> None:
    """Before it is loaded, naming the operator."""
    with refused(ErrorCode.MODEL_INVALID, operator):
        TensorflowBackend().load(exported(compute, tmp_path), options=RunnerOptions())


def test_a_write_hidden_in_a_branch_is_refused(tmp_path: Path) -> None:
    """Functions that functions call are looked at too; the file does not appear."""
    target = tmp_path / "payload"

    def compute(x: Any) -> dict[str, Any]:
        def write() -> Any:
            tf.io.write_file(str(target), "payload")
            return tf.constant(1.0)

        return {"y": tf.cond(tf.reduce_sum(x) > 0, write, lambda: tf.constant(0.0))}

    files = exported(compute, tmp_path / "model")
    with refused(ErrorCode.MODEL_INVALID, "WriteFile"):
        TensorflowBackend().load(files, options=RunnerOptions())
    assert not target.exists()
