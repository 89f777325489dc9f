# SPDX-License-Identifier: Apache-2.0
"""Whose fault a failure is, by what runtimes really say."""

from __future__ import annotations

import pytest

from core.errors import ErrorCode, FuroshikiError, ModelError, OperatorError, TensorError, Unavailable
from runners.backends.failures import failure, refused

REJECTIONS = (RuntimeError, ValueError)
FULL = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.19 GiB of which 1.06 GiB is free."
)
# As onnxruntime 1.31 and torch 2.13 word them.
DEVICE_FULL = [
    RuntimeError(FULL),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA failure 2: out of memory ; GPU=0 ; expr=cudaMalloc((void**)&p, size);"),
    RuntimeError(
        "bfc_arena.cc:376 BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 9"
    ),
]
DEVICE_FAILED = [
    RuntimeError("CUDA error: device-side assert triggered"),
    RuntimeError("CUDA failure 700: an illegal memory access was encountered ; GPU=0"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
]


@pytest.mark.parametrize("error", DEVICE_FULL, ids=lambda error: str(error)[:30])
def test_a_device_without_memory_is_retryable(error: Exception) -> None:
    """DEVICE_001 for a run and for a load, with a time to retry after; the model is not called invalid."""
    for found in (failure("runtime", error, rejections=REJECTIONS), refused("runtime", error)):
        assert isinstance(found, Unavailable)
        assert (found.code, found.retryable) == (ErrorCode.DEVICE_UNAVAILABLE, True)
        assert found.retry_after is not None


@pytest.mark.parametrize("error", DEVICE_FAILED, ids=lambda error: str(error)[:30])
def test_a_device_that_fails_is_not_the_callers_fault(error: Exception) -> None:
    """INFER_001, although runtimes raise the type that they raise for bad shapes."""
    found = failure("runtime", error, rejections=REJECTIONS)
    assert isinstance(found, OperatorError)
    assert found.code is ErrorCode.INFERENCE_FAILED


def test_what_the_model_cannot_process_is_the_callers_fault() -> None:
    """TENSOR_006 with the runtime's words on one line."""
    found = failure("runtime", RuntimeError("mat1 and mat2\n cannot be multiplied"), rejections=REJECTIONS)
    assert isinstance(found, TensorError)
    assert "mat1 and mat2 cannot be multiplied" in found.message


def test_a_file_that_asks_for_too_much_of_the_host_is_refused() -> None:
    """MODEL_003: that is the model's fault, and would be again."""
    assert isinstance(refused("runtime", RuntimeError("std::bad_alloc")), ModelError)
    assert isinstance(failure("runtime", MemoryError(), rejections=REJECTIONS), Unavailable)


def test_an_error_of_ours_stays_what_it_is() -> None:
    """A code is not lost on its way."""
    error = OperatorError(ErrorCode.INFERENCE_FAILED, "stopped")
    found: FuroshikiError = failure("runtime", error, rejections=REJECTIONS)
    assert found is error
