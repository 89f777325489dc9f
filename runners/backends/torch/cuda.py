# SPDX-License-Identifier: Apache-2.0
"""Runs of a module on a CUDA device: pinned buffers, one stream per thread, CUDA graphs for shapes that come again.

Each thread copies its inputs through page-locked memory to the device, runs and copies back on a stream of its own, so that
the copies of one execution overlap the kernels of another. A replay writes to memory that belongs to its graph, so one
execution replays a graph at a time. While a graph is captured no other model of the process runs on torch; of what others do
on the device, onnxruntime for one, only what this thread does can spoil the capture. The device is the first that the process
may see (``CUDA_VISIBLE_DEVICES``). A kernel that fails (an index out of range) ends the device's context for the process: all
models on it fail with ``INFER_001`` from then on, until it is started anew. References:
https://docs.pytorch.org/docs/stable/notes/cuda.html, "Use pinned memory buffers" and "CUDA Graphs".
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from typing import Any, Final

import torch

from core.telemetry.logs import get_logger
from core.tensors import Array, Signature
from runners.backends.failures import words
from runners.backends.torch.capture import Captures, Step
from runners.backends.torch.dtypes import array_of, tensor_of
from runners.backends.torch.execution import flat
from runners.backends.torch.turns import Turns

DEVICE: Final = "cuda"
TURNS: Final = Turns()
"""Of everything that this process does on the device through torch."""

_WARM: Final = (
    3  # runs before a capture, in its thread and on its stream: libraries make their handles and workspaces then
)

log = get_logger(__name__)


class CudaExecution:
    """A module on the current CUDA device.

    Args:
        module: Takes the signature's inputs in order; lies on the device.
        signature: Its tensors.
        graphs: Whether graphs are captured.
        pinned: Whether inputs go through page-locked memory.
    """

    def __init__(self, module: Any, signature: Signature, *, graphs: bool = True, pinned: bool = True) -> None:
        # As matrix products are by default: a model in fp32 answers as on the CPU.
        torch.backends.cudnn.allow_tf32 = False
        self._module = module
        self._signature = signature
        self._graphs = graphs
        self._pinned = pinned
        self._own = threading.local()
        self._lock = threading.Lock()
        self._captures = Captures()
        self._captured: dict[Hashable, _Graph] = {}

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        graph = self._graph(arrays) if self._graphs else None
        with TURNS.shared(), torch.inference_mode(), torch.cuda.stream(self._stream()):
            given = self._host(arrays)
            results = self._eager(given) if graph is None else graph.replay(given)
        return [array_of(tensor) for tensor in results]

    def _eager(self, given: Sequence[Any]) -> list[Any]:
        inputs = [tensor.to(DEVICE, non_blocking=True) for tensor in given]
        results = _home(flat(self._module(*inputs), self._signature))
        torch.cuda.current_stream().synchronize()
        return results

    def _host(self, arrays: Sequence[Array]) -> list[Any]:
        tensors = [tensor_of(array, spec.dtype) for array, spec in zip(arrays, self._signature.inputs, strict=True)]
        return [tensor.pin_memory() for tensor in tensors] if self._pinned else tensors

    def _stream(self) -> Any:
        stream = getattr(self._own, "stream", None)
        if stream is None:
            stream = self._own.stream = torch.cuda.Stream()
        return stream

    def _graph(self, arrays: Sequence[Array]) -> _Graph | None:
        """The graph of these shapes, captured now if it is time; None: run without one."""
        shapes = tuple(array.shape for array in arrays)
        with self._lock:
            if self._captures.next(shapes) is Step.CAPTURE:
                try:
                    with TURNS.alone(), torch.inference_mode():
                        self._captured[shapes] = _Graph(self._module, self._signature, self._host(arrays))
                    self._captures.captured(shapes)
                except Exception as error:  # whatever it is, the model runs without a graph, or fails there
                    self._captures.failed(shapes)
                    log.warning("cuda_graph_refused", shapes=str(shapes), reason=words(error))
            return self._captured.get(shapes)


class _Graph:
    """One captured execution. Made while nothing else runs on the device.

    Args:
        module: Takes the signature's inputs in order; lies on the device.
        signature: Its tensors.
        given: Inputs of the shapes to capture, on the host.
    """

    def __init__(self, module: Any, signature: Signature, given: Sequence[Any]) -> None:
        self._lock = threading.Lock()
        self._graph = torch.cuda.CUDAGraph()
        stream = torch.cuda.Stream()
        # Selected here too: torch.cuda.graph leaves its stream selected where the capture fails.
        with torch.cuda.stream(stream):
            self._inputs = [tensor.to(DEVICE) for tensor in given]
            for _ in range(_WARM):
                flat(module(*self._inputs), signature)
            with torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):
                self._outputs = flat(module(*self._inputs), signature)

    def replay(self, given: Sequence[Any]) -> list[Any]:
        """The outputs, on the host, for inputs of the captured shapes; ends when they are there."""
        with self._lock:
            for held, tensor in zip(self._inputs, given, strict=True):
                held.copy_(tensor, non_blocking=True)
            self._graph.replay()
            results = _home(self._outputs)
            torch.cuda.current_stream().synchronize()
        return results


def _home(tensors: Sequence[Any]) -> list[Any]:
    """Copies to page-locked memory, on their way when this returns."""
    results = []
    for tensor in tensors:
        target = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu", pin_memory=True)
        results.append(target.copy_(tensor, non_blocking=True))
    return results
