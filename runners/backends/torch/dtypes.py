# SPDX-License-Identifier: Apache-2.0
"""Datatypes of torch and arrays to and from its tensors, sharing their memory."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch

from core.tensors import Array, DType
from runners.backends.failures import invalid

_DTYPES: Final[Mapping[Any, DType]] = {
    torch.bool: DType.BOOL,
    torch.uint8: DType.UINT8,
    torch.uint16: DType.UINT16,
    torch.uint32: DType.UINT32,
    torch.uint64: DType.UINT64,
    torch.int8: DType.INT8,
    torch.int16: DType.INT16,
    torch.int32: DType.INT32,
    torch.int64: DType.INT64,
    torch.float16: DType.FP16,
    torch.bfloat16: DType.BF16,
    torch.float32: DType.FP32,
    torch.float64: DType.FP64,
}

# A request's body is read-only. Models that write to their inputs are given a copy (see the runner), so nothing does.
warnings.filterwarnings("ignore", message="The given (NumPy array|buffer) is not writable", category=UserWarning)


def dtype_of(dtype: Any) -> DType:
    """The datatype of a ``torch.dtype``.

    Raises:
        ModelError: ``MODEL_003`` if the protocol cannot carry it.
    """
    found = _DTYPES.get(dtype)
    if found is None:
        raise invalid(f"Datatype {dtype} is not served.")
    return found


def tensor_of(array: Array, dtype: DType) -> Any:
    """A tensor on the array's memory; a copy only if the array is not row-major."""
    array = np.ascontiguousarray(array)
    if dtype is DType.BF16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def array_of(tensor: Any) -> Array:
    """An array on the memory of a tensor that lies on the CPU; a copy only if it is not row-major."""
    tensor = tensor.detach().contiguous()
    if tensor.dtype is torch.bfloat16:
        found: Array = tensor.view(torch.int16).numpy().view(DType.BF16.numpy)
        return found
    return np.asarray(tensor.numpy())
