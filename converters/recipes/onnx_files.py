# SPDX-License-Identifier: Apache-2.0
"""ONNX files: read without leaving their folder, checked for operations nobody implements, renamed.

External data is resolved by the ``onnx`` package, which refuses a location outside the model's folder; it is refused here
first, with the location in the message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import onnx

from converters.interface import refused

MAX_NODES = 200_000


def read(path: Path, *, step: str) -> onnx.ModelProto:
    """An ONNX model with its external data.

    Raises:
        ModelError: ``MODEL_003`` if it is malformed, has more than ``MAX_NODES`` nodes, a cycle, or data outside its folder.
    """
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:
        raise refused(f"{path.name} is no ONNX file ({str(error)[:200]}).", step=step) from None
    if len(model.graph.node) > MAX_NODES:
        raise refused(f"it has {len(model.graph.node)} nodes; at most {MAX_NODES} are converted.", step=step)
    for tensor in tensors_of(model.graph):
        _check_location(tensor, path.parent, step=step)
    try:
        onnx.checker.check_model(str(path))
    except Exception as error:
        raise refused(str(error).splitlines()[0][:300], step=step) from None
    onnx.load_external_data_for_model(model, str(path.parent))
    return model


def tensors_of(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Every constant of a graph and of the graphs within it."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (attribute.g, *attribute.graphs):
                yield from tensors_of(inner)


def _check_location(tensor: onnx.TensorProto, folder: Path, *, step: str) -> None:
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        return
    location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
    path = folder / location
    if not location or not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        raise refused(f"the data of {tensor.name[:80]!r} lies in {location[:120]!r}, not beside it.", step=step)


def unknown_operations(model: onnx.ModelProto) -> list[str]:
    """Operations of the standard domain that the standard does not have, sorted."""
    known = {schema.name for schema in onnx.defs.get_all_schemas() if schema.domain in ("", "ai.onnx.ml")}
    return sorted({node.op_type for node in model.graph.node if node.domain == "" and node.op_type not in known})


def other_operations(model: onnx.ModelProto) -> list[str]:
    """Operations of other domains than the neural networks' that the model does not define itself, sorted."""
    own = {(function.domain, function.name) for function in model.functions}
    used = {(node.domain, node.op_type) for node in model.graph.node if node.domain not in ("", "ai.onnx")}
    return sorted(f"{domain}.{name}" for domain, name in used - own)


def rename(model: onnx.ModelProto, names: Mapping[str, str]) -> None:
    """Renames tensors of the main graph; a name that another tensor has is left to that one by moving it aside."""
    moved = {old: new for old, new in names.items() if old != new}
    taken = {value for node in model.graph.node for value in (*node.input, *node.output)}
    taken |= {tensor.name for tensor in model.graph.initializer}
    aside = {new: f"{new}__other" for new in moved.values() if new in taken and new not in moved}
    table = {**aside, **moved}
    for node in model.graph.node:
        node.input[:] = [table.get(name, name) for name in node.input]
        node.output[:] = [table.get(name, name) for name in node.output]
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        value.name = table.get(value.name, value.name)
    for tensor in model.graph.initializer:
        tensor.name = table.get(tensor.name, tensor.name)
