# SPDX-License-Identifier: Apache-2.0
"""Requests encoded once, answers decoded and checked: the same case over every protocol.

Binary requests go through NVIDIA's client library, so that neither side of the wire is ours alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import tritonclient.http
import tritonclient.utils

from loadtests.locust.plan import Case, Target, Tensor
from services.grpc_v2.protocol import open_inference_pb2 as pb

Outputs: TypeAlias = Mapping[str, Any]  # arrays or nested lists
Decode: TypeAlias = Callable[[bytes, str | None], Outputs]  # body, Inference-Header-Content-Length

MODEL_INFER: Final = "/inference.GRPCInferenceService/ModelInfer"
_JSON: Final = {"Content-Type": "application/json"}
_RTOL, _ATOL = 1e-3, 1e-5  # a batch may round differently than a single row


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """One case, ready to be sent."""

    target: Target
    case: Case
    path: str
    headers: Mapping[str, str]  # without the key
    body: bytes
    decode: Decode


def encode_json(target: Target, case: Case) -> Encoded:
    """Open Inference Protocol, everything in JSON."""
    inputs = [
        {"name": name, "datatype": tensor.datatype, "shape": tensor.shape, "data": tensor.data}
        for name, tensor in case.inputs.items()
    ]
    body = json.dumps({"inputs": inputs, "outputs": [{"name": name} for name in case.expected]}).encode()
    return Encoded(target=target, case=case, path=_v2(target), headers=_JSON, body=body, decode=_read_json)


def encode_binary(target: Target, case: Case) -> Encoded:
    """Open Inference Protocol with binary tensors both ways."""
    outputs = [tritonclient.http.InferRequestedOutput(name, binary_data=True) for name in case.expected]
    body, size = tritonclient.http.InferenceServerClient.generate_request_body(
        _inputs(tritonclient.http, case), outputs=outputs
    )
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(size)}
    return Encoded(target=target, case=case, path=_v2(target), headers=headers, body=bytes(body), decode=_read_binary)


def encode_v1(target: Target, case: Case) -> Encoded:
    """The short form."""
    inputs = {name: _nested(tensor) for name, tensor in case.inputs.items()}
    body = json.dumps({"model": target.model, "inputs": inputs, "outputs": list(case.expected)}).encode()
    return Encoded(target=target, case=case, path="/v1/infer", headers=_JSON, body=body, decode=_read_v1)


def encode_grpc(target: Target, case: Case) -> Encoded:
    """One unary ``ModelInfer`` with raw contents."""
    request = pb.ModelInferRequest(model_name=target.model)
    for name, tensor in case.inputs.items():
        request.inputs.add(name=name, datatype=tensor.datatype, shape=tensor.shape)
        request.raw_input_contents.append(_raw(tensor))
    for name in case.expected:
        request.outputs.add(name=name)
    body = request.SerializeToString()
    return Encoded(target=target, case=case, path=MODEL_INFER, headers={}, body=body, decode=_read_grpc)


def wrong(case: Case, outputs: Outputs) -> str | None:
    """What differs from the expected outputs; None: nothing."""
    for name, tensor in case.expected.items():
        if outputs.get(name) is None:
            return f"output {name} is missing"
        got, expected = np.asarray(outputs[name]), tensor.array()
        if got.shape != expected.shape:
            return f"output {name} has shape {got.shape}, expected {expected.shape}"
        exact = expected.dtype == np.object_
        if not ((got == expected).all() if exact else np.allclose(got, expected, rtol=_RTOL, atol=_ATOL)):
            return f"output {name} has other values"
    return None


def _v2(target: Target) -> str:
    return f"/v2/models/{target.model}/infer"


def _inputs(client: Any, case: Case) -> list[Any]:
    tensors = []
    for name, tensor in case.inputs.items():
        made = client.InferInput(name, list(tensor.shape), tensor.datatype)
        made.set_data_from_numpy(tensor.array())
        tensors.append(made)
    return tensors


def _nested(tensor: Tensor) -> Any:
    return np.array(tensor.data, dtype=object).reshape(tensor.shape).tolist()


def _read_json(body: bytes, _header: str | None) -> Outputs:
    return {o["name"]: np.array(_plain(o)).reshape(o["shape"]) for o in json.loads(body)["outputs"]}


def _plain(output: Mapping[str, Any]) -> Any:
    data = output["data"]
    return np.array([text.encode() for text in data], dtype=object) if output["datatype"] == "BYTES" else data


def _read_binary(body: bytes, header: str | None) -> Outputs:
    size = None if header is None else int(header)
    result = tritonclient.http.InferResult.from_response_body(body, header_length=size)
    return {output["name"]: result.as_numpy(output["name"]) for output in result.get_response()["outputs"]}


def _read_v1(body: bytes, _header: str | None) -> Outputs:
    outputs: Outputs = json.loads(body)["outputs"]
    return outputs


def _read_grpc(body: bytes, _header: str | None) -> Outputs:
    answer = pb.ModelInferResponse.FromString(body)
    return {
        output.name: _tensor(data, output.datatype).reshape(output.shape)
        for output, data in zip(answer.outputs, answer.raw_output_contents, strict=True)
    }


def _raw(tensor: Tensor) -> bytes:
    array = tensor.array()
    if tensor.datatype != "BYTES":
        return array.tobytes()
    raw: bytes = tritonclient.utils.serialize_byte_tensor(array).item()
    return raw


def _tensor(data: bytes, datatype: str) -> Any:
    if datatype == "BYTES":
        return tritonclient.utils.deserialize_bytes_tensor(data)
    return np.frombuffer(data, tritonclient.utils.triton_to_np_dtype(datatype))
