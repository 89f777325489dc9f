# SPDX-License-Identifier: Apache-2.0
"""Valid requests in every form, to begin with: each datatype, several inputs, no dimension, fixed dimensions."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np

from core.tensors import ANY, Array, DType, Signature, TensorSpec
from services.edge import binary_tensors
from services.grpc_v2.protocol import open_inference_pb2 as oip
from services.rest_v1.furoshiki_v1_pb2 import InferRequest
from tests.fuzz.services.trees import from_wire, tree_of

Seed: TypeAlias = tuple[Signature, Any]  # what the model takes, and the tree of a request


def _spec(name: str, dtype: DType, *shape: int) -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape)


def _signature(*specs: TensorSpec) -> Signature:
    return Signature(inputs=specs, outputs=specs)


SIGNATURES: Final = (
    *(_signature(_spec("x", dtype, ANY, 2)) for dtype in DType),
    _signature(_spec("x", DType.FP32, ANY, 2), _spec("y", DType.BYTES, ANY)),
    _signature(_spec("x", DType.INT64, ANY, ANY), _spec("y", DType.BOOL, ANY, 1, 1)),
    _signature(_spec("x", DType.FP64)),
    _signature(_spec("x", DType.UINT8, 4)),
)


def _values(spec: TensorSpec) -> Any:
    """Data of two rows that fits a specification."""
    shape = [2 if size == ANY else size for size in spec.shape]
    if spec.dtype is DType.BYTES:
        return np.array(["a", "bc", "", "é"] * 8, dtype=object)[: int(np.prod(shape))].reshape(shape).tolist()
    return np.ones(shape, dtype=bool if spec.dtype is DType.BOOL else int).tolist()


def _array(spec: TensorSpec) -> Array:
    return np.array(_values(spec), dtype=spec.dtype.numpy)


def _raw(spec: TensorSpec) -> bytes:
    return binary_tensors.encode(_array(spec), spec.dtype)


def named_seeds(*, raw: bool) -> list[Seed]:
    """Requests of ``/v1`` in JSON or MessagePack."""
    seeds = []
    for signature in SIGNATURES:
        inputs: dict[str, Any] = {
            spec.name: {"shape": list(_array(spec).shape), "datatype": spec.dtype.oip, "data": _raw(spec)}
            if raw
            else _values(spec)
            for spec in signature.inputs
        }
        full = {"model": "m", "inputs": inputs, "version": "1", "outputs": ["x"], "timeout_ms": 5.5, "priority": 1}
        seeds += [(signature, tree_of(full)), (signature, tree_of({"model": "m", "inputs": inputs}))]
    return seeds


def protobuf_seeds() -> list[Seed]:
    """Requests of ``/v1`` in Protobuf."""
    seeds = []
    for signature in SIGNATURES:
        for raw in (True, False):
            message = InferRequest(model="m", version="1", outputs=["x"], timeout_ms=5.5, priority=1)
            for spec in signature.inputs:
                _fill(message.inputs[spec.name], spec, raw=raw)
            seeds.append((signature, from_wire(message.SerializeToString(), InferRequest.DESCRIPTOR)))
    return seeds


def _fill(tensor: Any, spec: TensorSpec, *, raw: bool) -> None:
    tensor.datatype = spec.dtype.oip
    tensor.shape.extend(_array(spec).shape)
    if raw or spec.dtype.grpc_field is None:
        tensor.raw = _raw(spec)
    else:
        getattr(tensor, spec.dtype.grpc_field).extend(_elements(spec))


def _elements(spec: TensorSpec) -> list[Any]:
    flat = _array(spec).ravel().tolist()
    return [value.encode() if isinstance(value, str) else value for value in flat]


def grpc_seeds() -> list[Seed]:
    """``ModelInferRequest`` messages."""
    seeds = []
    for signature in SIGNATURES:
        for raw in (True, False):
            message = oip.ModelInferRequest(model_name="m", model_version="1", id="7", outputs=[{"name": "x"}])
            message.parameters["timeout"].int64_param = 5
            for spec in signature.inputs:
                tensor = message.inputs.add(name=spec.name, datatype=spec.dtype.oip, shape=_array(spec).shape)
                if raw or spec.dtype.grpc_field is None:
                    message.raw_input_contents.append(_raw(spec))
                else:
                    getattr(tensor.contents, spec.dtype.grpc_field).extend(_elements(spec))
            seeds.append((signature, from_wire(message.SerializeToString(), oip.ModelInferRequest.DESCRIPTOR)))
    return seeds


def v2_seeds() -> list[Seed]:
    """Requests of ``/v2``: the JSON part, then binary tensors; or one binary tensor alone."""
    seeds: list[Seed] = []
    for signature in SIGNATURES:
        for binary in (False, True):
            inputs, tail = [], []
            for spec in signature.inputs:
                described: dict[str, Any] = {
                    "name": spec.name,
                    "shape": list(_array(spec).shape),
                    "datatype": spec.dtype.oip,
                }
                if binary:
                    tail.append(_raw(spec))
                    described["parameters"] = {"binary_data_size": len(tail[-1])}
                else:
                    described["data"] = _values(spec)
                inputs.append(described)
            parameters = {"binary_data_output": binary, "timeout": 5, "priority": 1}
            outputs = [{"name": "x", "parameters": {"binary_data": binary}}]
            request = {"id": "7", "inputs": inputs, "parameters": parameters, "outputs": outputs}
            seeds.append((signature, [tree_of(request), *tail]))
        seeds.append((signature, [_raw(signature.inputs[0])]))
    return seeds
