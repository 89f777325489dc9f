# SPDX-License-Identifier: Apache-2.0
"""Whose fault a failed load or run is, in the words that all backends share.

Runtimes tell a caller's mistake from their own by exception types that differ; each backend sorts its own and raises one of
these. What a runtime says is shown on one line and cut: it may be long, and a caller reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from core.errors import ErrorCode, FuroshikiError, ModelError, OperatorError, TensorError, Unavailable
from core.tensors import Array, Signature, fits
from runners.interface import StopSignal

_WORDS: Final = 400
_NO_MEMORY: Final = (
    *("Failed to allocate memory", "std::bad_alloc", "OOM when allocating", "CUDA out of memory", "out of memory"),
    *("DefaultCPUAllocator", "can't allocate memory", "STATUS_ALLOC_FAILED"),
)
# How onnxruntime and torch begin a message about the device, not about the model or a request.
_DEVICE: Final = (
    *("CUDA error", "CUDA failure", "CUDA out of memory", "CUBLAS failure", "CUBLAS_STATUS", "cuDNN error"),
    *("CUDNN failure", "CUDNN_STATUS", "BFCArena", "bfc_arena"),
)


def words(error: BaseException) -> str:
    """The runtime's own words on one line, at most 400 characters."""
    return " ".join(str(error).split())[:_WORDS]


def no_memory(error: BaseException) -> bool:
    """Whether there was no memory, of the host or of a device."""
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in _NO_MEMORY)


def of_device(error: BaseException) -> bool:
    """Whether an accelerator failed, or had no memory: neither the model's fault nor the caller's."""
    return any(sign in str(error) for sign in _DEVICE)


def refused(runtime: str, error: BaseException) -> ModelError | Unavailable:
    """The runtime does not load the model: ``MODEL_003``, or ``DEVICE_001`` if its device has no memory for it."""
    if of_device(error) and no_memory(error):
        return Unavailable(ErrorCode.DEVICE_UNAVAILABLE, "The device has no memory for this model.", retry_after=5.0)
    return ModelError(ErrorCode.MODEL_INVALID, f"{runtime} refuses the model: {words(error)}")


def invalid(why: str) -> ModelError:
    """The model is not one this backend loads: ``MODEL_003``."""
    return ModelError(ErrorCode.MODEL_INVALID, why)


def unloaded() -> Unavailable:
    """A run after ``close``: ``MODEL_002``."""
    return Unavailable(ErrorCode.MODEL_NOT_READY, "The model was unloaded.", retry_after=1.0)


def failure(runtime: str, error: Exception, *, rejections: tuple[type[Exception], ...]) -> FuroshikiError:
    """What a failed run means for the caller.

    Args:
        runtime: Its name, for the message.
        error: What it raised.
        rejections: The types it raises for values and shapes that the model cannot process.
    """
    reason = words(error)
    if isinstance(error, FuroshikiError):
        return error
    if no_memory(error):
        return Unavailable(ErrorCode.DEVICE_UNAVAILABLE, "The device has no memory for this request.", retry_after=1.0)
    if isinstance(error, rejections) and not of_device(error):
        return TensorError(ErrorCode.TENSOR_REJECTED, f"The model cannot process this input: {reason}")
    return OperatorError(ErrorCode.INFERENCE_FAILED, f"{runtime} failed: {reason}", log_context={"cause": repr(error)})


def check_not_stopped(stop: StopSignal | None) -> None:
    """Ends a run whose signal was given, for runtimes that cannot be interrupted inside an execution.

    Raises:
        OperatorError: ``INFER_001`` if it was.
    """
    if stop is not None and stop.stopped:
        raise OperatorError(ErrorCode.INFERENCE_FAILED, "The execution was stopped.")


def check_shapes(signature: Signature, inputs: Mapping[str, Array]) -> None:
    """Refuses shapes that the signature does not allow, for runtimes that would take them for another model.

    Raises:
        TensorError: ``TENSOR_006`` naming the first input that does not fit.
    """
    for spec in signature.inputs:
        shape = inputs[spec.name].shape
        if not fits(shape, spec.shape):
            raise TensorError(
                ErrorCode.TENSOR_REJECTED,
                f"The model cannot process this input: {spec.name!r} has shape {list(shape)}; expected {list(spec.shape)}.",
            )
