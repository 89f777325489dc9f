# SPDX-License-Identifier: Apache-2.0
"""The fake's inference side: the Open Inference Protocol in front of Python functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from furoshiki.tensors import Array, datatype_of, decode_binary, decode_json, encode_binary, encode_json
from furoshiki.testing.exchange import Answer, Call, Problem, json_answer

Function: TypeAlias = Callable[[Mapping[str, Array]], Mapping[str, Array]]

DIGEST = "sha256:" + "ab" * 32  # of every model served here


class FakeInference:
    """Models as functions. ``ready`` is what the health route answers."""

    def __init__(self) -> None:
        self.ready = True
        self._models: dict[str, tuple[Function, Mapping[str, tuple[str, Sequence[int]]]]] = {}

    def add(self, name: str, function: Function, inputs: Mapping[str, tuple[str, Sequence[int]]]) -> None:
        """Serves ``function`` as model ``name``."""
        self._models[name] = (function, inputs)

    def handle(self, call: Call) -> Answer:
        """Answers one call below ``/v2``."""
        match call.method, call.segments[1:]:
            case "GET", ("health", "ready"):
                return json_answer({"ready": self.ready, "live": True}, 200 if self.ready else 503)
            case "GET", ("models", name) | ("models", name, "versions", _):
                return json_answer(self._metadata(name))
            case "POST", ("models", name, "infer"):
                return self._infer(call, name, "1")
            case "POST", ("models", name, "versions", version, "infer"):
                return self._infer(call, name, version)
        raise Problem(404, "VALID_006", "There is no such route.")

    def _find(self, name: str) -> tuple[Function, Mapping[str, tuple[str, Sequence[int]]]]:
        if name not in self._models:
            raise Problem(404, "MODEL_001", f"There is no model {name!r}.")
        return self._models[name]

    def _metadata(self, name: str) -> dict[str, Any]:
        _, inputs = self._find(name)
        described = [{"name": key, "datatype": kind, "shape": list(shape)} for key, (kind, shape) in inputs.items()]
        return {"name": name, "versions": ["1"], "platform": "python", "inputs": described, "outputs": []}

    def _infer(self, call: Call, name: str, version: str) -> Answer:
        function, expected = self._find(name)
        length = call.headers.get("inference-header-content-length")
        cut = len(call.body) if length is None else int(length)
        head = msgspec.json.decode(call.body[:cut])
        arrays = _inputs(head["inputs"], memoryview(call.body)[cut:])
        _check(arrays, expected, name)
        results = function(arrays)
        wanted = [output["name"] for output in head.get("outputs", [])] or list(results)
        binary = head.get("parameters", {}).get("binary_data_output") is True
        return _result({key: results[key] for key in wanted}, name, version, binary=binary)


def _inputs(described: list[dict[str, Any]], tail: memoryview) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    for tensor in described:
        size = tensor.get("parameters", {}).get("binary_data_size")
        try:
            if size is None:
                arrays[tensor["name"]] = decode_json(tensor["data"], tensor["datatype"], tensor["shape"])
            else:
                arrays[tensor["name"]] = decode_binary(tail[:size], tensor["datatype"], tensor["shape"])
                tail = tail[size:]
        except ValueError as error:
            raise Problem(400, "TENSOR_005", f"Input {tensor['name']!r}: {error}.") from None
    return arrays


def _check(arrays: Mapping[str, Array], expected: Mapping[str, tuple[str, Sequence[int]]], model: str) -> None:
    if missing := expected.keys() - arrays.keys():
        raise Problem(400, "TENSOR_003", f"Input {min(missing)!r} of {model!r} is missing.")
    for name, array in arrays.items():
        if name not in expected:
            raise Problem(400, "TENSOR_004", f"{model!r} has no input {name!r}.")
        datatype, shape = expected[name]
        if datatype_of(array) != datatype:
            raise Problem(400, "TENSOR_002", f"Input {name!r} has datatype {datatype_of(array)}; expected {datatype}.")
        if len(shape) != array.ndim or any(want not in (-1, got) for want, got in zip(shape, array.shape, strict=True)):
            raise Problem(400, "TENSOR_001", f"Input {name!r} has shape {list(array.shape)}; expected {list(shape)}.")


def _result(results: Mapping[str, Array], model: str, version: str, *, binary: bool) -> Answer:
    outputs: list[dict[str, Any]] = []
    tail = b""
    for name, array in results.items():
        tensor: dict[str, Any] = {"name": name, "datatype": datatype_of(array), "shape": list(array.shape)}
        if binary:
            data = encode_binary(array)
            tensor["parameters"] = {"binary_data_size": len(data)}
            tail += data
        else:
            tensor["data"] = encode_json(array, name=name)
        outputs.append(tensor)
    head = msgspec.json.encode({"model_name": model, "model_version": version, "outputs": outputs})
    headers = {"x-furoshiki-model-digest": DIGEST}
    if binary:
        headers["inference-header-content-length"] = str(len(head))
    return Answer(headers=headers, body=head + tail)
