# SPDX-License-Identifier: Apache-2.0
"""The requests of a model as bytes, and its output read from the answers.

Open Inference Protocol bodies over HTTP are made by NVIDIA's client library, so that neither side of the wire is ours
alone. Peers without the protocol take ``{"x": rows}``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import tritonclient.http

from core.tensors import Array, dtype_from_numpy
from loadtests.models import Inputs
from loadtests.wrk import Post
from services.grpc_v2.protocol import open_inference_pb2 as pb

GRPC_METHOD: Final = "/inference.GRPCInferenceService/ModelInfer"
_HEADER: Final = "Inference-Header-Content-Length"
_JSON: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """How one request travels over HTTP."""

    encode: Callable[[Inputs, str], Post]  # inputs, name of the output asked for
    decode: Callable[[bytes, Mapping[str, str]], Array]  # body, headers


def grpc_request(model: str, inputs: Inputs, output: str) -> bytes:
    """A serialized ``ModelInferRequest`` with raw contents."""
    request = pb.ModelInferRequest(model_name=model)
    for name, array in inputs.items():
        request.inputs.add(name=name, datatype=dtype_from_numpy(array.dtype).oip, shape=array.shape)
        request.raw_input_contents.append(array.tobytes())
    request.outputs.add(name=output)
    return request.SerializeToString()


def grpc_answer(message: bytes) -> Array:
    """The first output of a serialized ``ModelInferResponse``, of datatype FP32."""
    answer = pb.ModelInferResponse.FromString(message)
    return np.frombuffer(answer.raw_output_contents[0], "<f4").reshape(answer.outputs[0].shape)


def _json_v2(inputs: Inputs, output: str) -> Post:
    tensors = [
        {
            "name": name,
            "shape": list(array.shape),
            "datatype": tritonclient.http.np_to_triton_dtype(array.dtype),
            "data": array.ravel().tolist(),
        }
        for name, array in inputs.items()
    ]
    return Post(headers=_JSON, body=json.dumps({"inputs": tensors, "outputs": [{"name": output}]}).encode())


def _read_json_v2(body: bytes, _headers: Mapping[str, str]) -> Array:
    output = json.loads(body)["outputs"][0]
    return np.array(output["data"], np.float32).reshape(output["shape"])


def _binary_v2(inputs: Inputs, output: str) -> Post:
    wanted = tritonclient.http.InferRequestedOutput(output, binary_data=True)
    generate = tritonclient.http.InferenceServerClient.generate_request_body
    body, size = generate(_tensors(tritonclient.http, inputs), outputs=[wanted])
    return Post(headers={"Content-Type": "application/octet-stream", _HEADER: str(size)}, body=bytes(body))


def _read_binary_v2(body: bytes, headers: Mapping[str, str]) -> Array:
    size = headers.get(_HEADER)
    result = tritonclient.http.InferResult.from_response_body(body, header_length=None if size is None else int(size))
    output: Array = result.as_numpy(result.get_response()["outputs"][0]["name"])
    return output


def _plain(inputs: Inputs, _output: str) -> Post:
    first = next(iter(inputs.values()))
    return Post(headers=_JSON, body=json.dumps({"x": first.tolist()}).encode())


def _read_plain(body: bytes, _headers: Mapping[str, str]) -> Array:
    answer = json.loads(body)
    return np.array(answer["y"] if isinstance(answer, dict) else answer, np.float32)


def _tensors(client: Any, inputs: Inputs) -> list[Any]:
    tensors = []
    for name, array in inputs.items():
        tensor = client.InferInput(name, list(array.shape), tritonclient.http.np_to_triton_dtype(array.dtype))
        tensor.set_data_from_numpy(array)
        tensors.append(tensor)
    return tensors


JSON_V2: Final = Wire(encode=_json_v2, decode=_read_json_v2)
BINARY_V2: Final = Wire(encode=_binary_v2, decode=_read_binary_v2)
PLAIN: Final = Wire(encode=_plain, decode=_read_plain)
