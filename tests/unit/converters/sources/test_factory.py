# SPDX-License-Identifier: Apache-2.0
"""Model factories: what is read from them, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from converters.sources.factory import build, check_numbers, describe, weights
from core.errors import ModelError
from core.tensors import DType, TensorSpec

INPUT = {"name": "x", "datatype": "FP32", "shape": [-1, 4]}


def described(folder: Path, **fields: Any) -> Path:
    (folder / "factory.json").write_text(json.dumps({"framework": "torch", "inputs": [INPUT]} | fields))
    return folder


def test_a_description_is_read(tmp_path: Path) -> None:
    """Framework, inputs and outputs are what the file says."""
    found = describe(described(tmp_path, outputs=["a", "b"]))
    assert (found.framework, found.outputs) == ("torch", ("a", "b"))
    assert found.inputs == (TensorSpec(name="x", dtype=DType.FP32, shape=(-1, 4)),)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"framework": "mxnet"}, "framework 'mxnet' is not known"),
        ({"inputs": []}, "names no inputs"),
        ({"inputs": [INPUT | {"datatype": "COMPLEX"}]}, "Unknown datatype 'COMPLEX'"),
        ({"inputs": [INPUT | {"scale": 1}]}, "unknown field `scale`"),
        ({"pickle": "weights.pkl"}, "unknown field `pickle`"),
    ],
)
def test_a_wrong_description_is_refused(tmp_path: Path, fields: dict[str, Any], reason: str) -> None:
    """The message says what is wrong with the file."""
    with pytest.raises(ModelError, match=reason):
        describe(described(tmp_path, **fields))


def test_outputs_without_names_are_numbered(tmp_path: Path) -> None:
    """A dictionary keeps its keys, a sequence is numbered, and as many names as outputs are needed."""
    unnamed, named = describe(described(tmp_path)), describe(described(tmp_path, outputs=["a"]))
    assert unnamed.named([1, 2]) == {"output_0": 1, "output_1": 2}
    assert unnamed.named({"k": 1}) == {"k": 1}
    assert named.named(5) == {"a": 5}
    with pytest.raises(ModelError, match="names 1 outputs, the module gives 2"):
        named.named((1, 2))


def test_a_factory_that_fails_says_why(tmp_path: Path) -> None:
    """An exception of the author's code becomes the reason."""
    (tmp_path / "factory.py").write_text("def build():\n    raise KeyError('absent')\n")
    with pytest.raises(ModelError, match="factory.py failed: KeyError: 'absent'"):
        build(tmp_path)


def test_weights_are_read_and_checked(tmp_path: Path) -> None:
    """Arrays come by name; a NaN is refused by the name of its array; infinities are left alone."""
    good: dict[str, Any] = {"a": np.array([1.0, np.inf], np.float32), "b": np.arange(3)}
    save_file(good, tmp_path / "weights.safetensors")
    assert set(weights(tmp_path)) == {"a", "b"}
    with pytest.raises(ModelError, match="weight 'a' holds NaN"):
        check_numbers({"a": np.array([np.nan], np.float32)}, step="test")


def test_a_pickle_in_the_place_of_weights_is_not_read(tmp_path: Path) -> None:
    """A pickle named like weights is refused and its payload never runs."""
    payload = tmp_path / "payload"
    (tmp_path / "weights.safetensors").write_bytes(b"cos\nsystem\n(S'touch " + str(payload).encode() + b"'\ntR.")
    with pytest.raises(ModelError, match=r"weights\.safetensors cannot be read"):
        weights(tmp_path)
    assert not payload.exists()
