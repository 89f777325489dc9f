# SPDX-License-Identifier: Apache-2.0
"""Runs of a module on a CUDA device: pinned buffers, one stream per thread, CUDA graphs for shapes that come again.

Each thread copies its inputs through page-locked memory to the device, runs and copies back on a stream of its own, so that
the copies of one execution overlap the kernels of another. A replay writes to memory that belongs to its graph, so one
execution replays a graph at a time. References: https://docs.pytorch.org/docs/stable/notes/cuda.html, "Use pinned memory
buffers" and "CUDA Graphs".
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from typing import Any

import torch

from core.telemetry.logs import get_logger
from core.tensors import Array, Signature
from runners.backends.torch.capture import Captures, Step
from runners.backends.torch.dtypes import array_of, tensor_of
from runners.backends.torch.execution import flat

log = get_logger(__name__)


class CudaExecution:
    """A module on the current CUDA device.

    Args:
        module: Takes the signature's inputs in order; lies on the device.
        signature: Its tensors.
        graphs: Whether graphs are captured.
    """

    def __init__(self, module: Any, signature: Signature, *, graphs: bool = True) -> None:
        self._module = module
        self._signature = signature
        self._graphs = graphs
        self._own = threading.local()
        self._lock = threading.Lock()
        self._captures = Captures()
        self._captured: dict[Hashable, _Graph] = {}

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        stream = self._stream()
        with torch.inference_mode(), torch.cuda.stream(stream):
            pinned = [
                tensor_of(array, spec.dtype).pin_memory()
                for array, spec in zip(arrays, self._signature.inputs, strict=True)
            ]
            graph = self._graph(tuple(array.shape for array in arrays), pinned) if self._graphs else None
            if graph is not None:
                results = graph.replay(pinned)
            else:
                given = [tensor.to("cuda", non_blocking=True) for tensor in pinned]
                results = _home(flat(self._module(*given), self._signature))
            stream.synchronize()
        return [array_of(tensor) for tensor in results]

    def _stream(self) -> Any:
        stream = getattr(self._own, "stream", None)
        if stream is None:
            stream = self._own.stream = torch.cuda.Stream()
        return stream

    def _graph(self, shapes: Hashable, pinned: Sequence[Any]) -> _Graph | None:
        """The graph of these shapes, captured now if it is time; None: run without one."""
        with self._lock:
            step = self._captures.next(shapes)
            if step is Step.CAPTURE:
                try:
                    self._captured[shapes] = _Graph(self._module, self._signature, pinned)
                    self._captures.captured(shapes)
                except RuntimeError as error:
                    self._captures.failed(shapes)
                    log.warning("cuda_graph_refused", shapes=str(shapes), reason=str(error)[:300])
            return self._captured.get(shapes)


class _Graph:
    """One captured execution."""

    def __init__(self, module: Any, signature: Signature, pinned: Sequence[Any]) -> None:
        self._lock = threading.Lock()
        self._inputs = [tensor.to("cuda") for tensor in pinned]
        self._graph = torch.cuda.CUDAGraph()
        # Other threads go on launching; only what this one does is captured.
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._outputs = flat(module(*self._inputs), signature)

    def replay(self, pinned: Sequence[Any]) -> list[Any]:
        """The outputs, in page-locked memory, for inputs of the captured shapes; ends when they are there."""
        with self._lock:
            for held, given in zip(self._inputs, pinned, strict=True):
                held.copy_(given, non_blocking=True)
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
