# SPDX-License-Identifier: Apache-2.0
"""ONNX files: read within their folder, looked over, renamed."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from converters.recipes.onnx_files import other_operations, read, rename, unknown_operations
from core.errors import ModelError


def model(*nodes: onnx.NodeProto, initializers: tuple[TensorProto, ...] = (), domain: str = "") -> onnx.ModelProto:
    """A graph from x to y."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy")
    graph = helper.make_graph(list(nodes), "g", [x], [y], list(initializers))
    imports = [helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=imports, ir_version=9)


def outside(location: str) -> TensorProto:
    """A weight whose data lies elsewhere."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


@pytest.mark.parametrize("location", ["../w.bin", "/etc/passwd", "a/../../w.bin", ""])
def test_data_outside_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    """Whatever way a location leaves the folder, the file there is not read."""
    (tmp_path / "w.bin").write_bytes(bytes(8))
    (tmp_path / "model").mkdir()
    path = tmp_path / "model" / "model.onnx"
    path.write_bytes(
        model(helper.make_node("Add", ["x", "w"], ["y"]), initializers=(outside(location),)).SerializeToString()
    )
    with pytest.raises(ModelError, match="not beside it"):
        read(path, step="test")


def test_data_through_a_link_is_refused(tmp_path: Path) -> None:
    """A link within the folder that points outside is no way around it."""
    (tmp_path / "secret").write_bytes(bytes(8))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "w.bin").symlink_to(tmp_path / "secret")
    path = tmp_path / "model" / "model.onnx"
    path.write_bytes(
        model(helper.make_node("Add", ["x", "w"], ["y"]), initializers=(outside("w.bin"),)).SerializeToString()
    )
    with pytest.raises(ModelError, match="not beside it"):
        read(path, step="test")


def test_data_beside_it_is_read(tmp_path: Path) -> None:
    """External data in the folder becomes part of the model."""
    (tmp_path / "w.bin").write_bytes(bytes(8))
    path = tmp_path / "model.onnx"
    path.write_bytes(
        model(helper.make_node("Add", ["x", "w"], ["y"]), initializers=(outside("w.bin"),)).SerializeToString()
    )
    assert read(path, step="test").graph.initializer[0].raw_data == bytes(8)


def test_what_is_no_onnx_file_is_refused(tmp_path: Path) -> None:
    """Bytes of something else are refused in a sentence."""
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"model\.onnx is no ONNX file"):
        read(tmp_path / "model.onnx", step="test")


def test_operations_are_told_apart() -> None:
    """What the standard does not have, and what belongs to another domain, are named."""
    odd = model(
        helper.make_node("Erfc", ["x"], ["a"]), helper.make_node("Mine", ["a"], ["y"], domain="acme"), domain="acme"
    )
    assert unknown_operations(odd) == ["Erfc"]
    assert other_operations(odd) == ["acme.Mine"]


def test_tensors_are_renamed_without_collision() -> None:
    """A new name that another tensor has is taken from that one; the graph computes the same."""
    given = model(helper.make_node("Relu", ["x"], ["scores"]), helper.make_node("Neg", ["scores"], ["y"]))
    rename(given, {"y": "scores", "x": "image"})
    onnx.checker.check_model(given)
    assert [value.name for value in (*given.graph.input, *given.graph.output)] == ["image", "scores"]
    assert [list(node.input) + list(node.output) for node in given.graph.node] == [
        ["image", "scores__other"],
        ["scores__other", "scores"],
    ]
