# SPDX-License-Identifier: Apache-2.0
"""The precision of a TFLite model's numbers, from the tensors its operators compute and the constants they read."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import numpy as np

_INTEGERS: Final = frozenset({np.dtype(np.int8), np.dtype(np.uint8)})


def precision_of(interpreter: Any) -> str:
    """As in the name of a variant: fp32, fp16, int8, int8dyn, int8w16a.

    Args:
        interpreter: An ``Interpreter`` that has not run.
    """
    tensors = {int(item["index"]): item for item in interpreter.get_tensor_details()}
    operators = [item for item in interpreter._get_ops_details() if item["op_name"] != "DELEGATE"]
    computed = {int(index) for item in operators for index in item["outputs"]}
    computed |= {int(item["index"]) for item in interpreter.get_input_details()}
    read = {int(index) for item in operators for index in item["inputs"]} - computed
    activations = {np.dtype(tensors[index]["dtype"]) for index in computed if _quantized(tensors.get(index))}
    if np.dtype(np.int16) in activations:
        return "int8w16a"
    if activations & _INTEGERS:
        return "int8"
    constants = Counter[np.dtype[Any]]()
    for index in read & set(tensors):
        constants[np.dtype(tensors[index]["dtype"])] += int(np.prod(tensors[index]["shape"]))
    if any(_quantized(tensors.get(index)) for index in read):
        return "int8dyn"
    return "fp16" if constants[np.dtype(np.float16)] > constants[np.dtype(np.float32)] else "fp32"


def _quantized(details: Any) -> bool:
    """Whether a tensor holds numbers by scale; biases (int32) follow from weights and count for nothing."""
    return (
        details is not None
        and np.dtype(details["dtype"]) in _INTEGERS | {np.dtype(np.int16)}
        and len(details["quantization_parameters"]["scales"]) > 0
    )
