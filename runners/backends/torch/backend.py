# SPDX-License-Identifier: Apache-2.0
"""TorchScript and ``torch.export`` models on the CPU or on CUDA.

Inputs and outputs share memory with the caller's arrays on the CPU. A model that writes to its inputs is given copies, and an
output that is a view of an input is copied: what a caller sent stays as it was sent, and what it gets is its own. torch has
one number of threads per process: ``threads`` of the model loaded last counts. An execution cannot be interrupted; a stop is
heeded before it begins. Several threads may run one model: nothing in it changes but the buffers of models made so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, Final

import numpy as np
import torch

from artifacts.formats import FORMATS
from core.errors import FuroshikiError, Unavailable
from core.telemetry.logs import get_logger
from core.tensors import ANY, Array, Signature, fits
from runners.backends.failures import check_not_stopped, check_shapes, failure, invalid, unloaded
from runners.backends.torch.archive import read_archive
from runners.backends.torch.cuda import TURNS, CudaExecution
from runners.backends.torch.execution import CpuExecution, Execution
from runners.backends.torch.program import load_program
from runners.backends.torch.script import SIGNATURE, load_script
from runners.interface import RunnerOptions, StopSignal
from runners.precision import precision_of_edges

RUNTIME: Final = "torch"
CPU: Final = "cpu"
_REJECTIONS: Final = (RuntimeError, IndexError, ValueError, TypeError, torch.jit.Error)
_PRECISIONS: Final = {torch.float16: "fp16", torch.bfloat16: "bf16", torch.float64: "fp64"}
_TRIED: Final = 2  # rows, and any other free dimension

log = get_logger(__name__)


class TorchBackend:
    """Loads ``torchscript`` and ``torch_export`` bundles.

    Args:
        device: ``cpu`` or ``cuda``; where torch finds no CUDA device the runner is on the CPU and says so by its name.
    """

    version: str = torch.__version__
    formats = frozenset({"torchscript", "torch_export"})

    def __init__(self, device: str = "cpu") -> None:
        self._device = chosen(device, cuda=torch.cuda.is_available())
        self.name = f"torch-{self._device}"

    def load(self, files: Mapping[str, bytes], *, options: RunnerOptions) -> TorchRunner:
        """Loads the bundle's only archive.

        Raises:
            ModelError: ``MODEL_003`` if there is not exactly one, it is refused, or does not do what it declares.
            Unavailable: ``DEVICE_001`` if the device has no memory for it.
        """
        torch.set_num_threads(options.threads)
        program = any(FORMATS["torch_export"].is_main(path) for path in files)
        archive = read_archive(files[FORMATS["torch_export" if program else "torchscript"].main(files)])
        with nullcontext() if self._device == CPU else TURNS.shared():
            if program:
                module, signature, writes = load_program(archive, self._device)
            else:
                module, signature, writes = load_script(archive, files.get(SIGNATURE), self._device)
        runner = TorchRunner(module, signature, device=self._device, writes=writes)
        if not program:
            check_declared(runner)
        return runner


def chosen(wanted: str, *, cuda: bool) -> str:
    """The device to run on; a fallback is logged.

    Args:
        wanted: ``cpu`` or ``cuda``.
        cuda: Whether torch finds a CUDA device, which its build and the driver decide together.
    """
    if wanted == "cuda" and not cuda:
        log.warning(
            "device_fallback", format="torch", wanted=wanted, used="torch-cpu", reason="torch finds no CUDA device"
        )
        return CPU
    return wanted


class TorchRunner:
    """One module.

    Args:
        module: Takes the signature's inputs in order.
        signature: Its tensors.
        device: Where it lies and runs.
        writes: Whether it writes to its inputs.
    """

    def __init__(self, module: Any, signature: Signature, *, device: str, writes: bool) -> None:
        self.name = f"torch-{device}"
        self.signature = signature
        self.precision = _precision(module) or precision_of_edges(signature)
        self._device = device
        self._copies = writes and device == CPU
        self._execute: Execution | None = (
            CpuExecution(module, signature) if device == CPU else CudaExecution(module, signature)
        )

    def run(self, inputs: Mapping[str, Array], stop: StopSignal | None = None) -> dict[str, Array]:
        execute = self._execute
        if execute is None:
            raise unloaded()
        check_not_stopped(stop)
        check_shapes(self.signature, inputs)
        arrays = [inputs[spec.name] for spec in self.signature.inputs]
        if self._copies:
            arrays = [array.copy() for array in arrays]
        try:
            results = execute(arrays)
        except Exception as error:
            raise failure(RUNTIME, error, rejections=_REJECTIONS) from None
        return {spec.name: _owned(array, arrays) for spec, array in zip(self.signature.outputs, results, strict=True)}

    def close(self) -> None:
        if self._device == CPU:
            self._execute = None
            return
        with TURNS.shared():
            self._execute = None
            torch.cuda.empty_cache()  # torch would keep it for later; other runtimes and processes use the device too


def _owned(result: Array, inputs: list[Array]) -> Array:
    """A result that shares no memory with what the caller gave."""
    return result.copy() if any(np.may_share_memory(result, array) for array in inputs) else result


def _precision(module: Any) -> str | None:
    """That of most of the weights, by elements; None if there are none."""
    counts = Counter[str]()
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.dtype.is_floating_point:
            counts[_PRECISIONS.get(tensor.dtype, "fp32")] += tensor.numel()
    return counts.most_common(1)[0][0] if counts else None


def check_declared(runner: TorchRunner) -> None:
    """Tries a model that only declares its tensors, with zeros in small shapes.

    Raises:
        ModelError: ``MODEL_003`` if its outputs are not those declared. A model with free dimensions beside the batch may
            need them larger than tried; it is believed.
        Unavailable: ``DEVICE_001`` if the device has no memory for it.
    """
    free = any(ANY in spec.shape[1:] for spec in runner.signature.inputs)
    zeros = {
        spec.name: np.zeros([_TRIED if size == ANY else size for size in spec.shape], spec.dtype.numpy)
        for spec in runner.signature.inputs
    }
    try:
        results = runner.run(zeros)
    except Unavailable:
        raise
    except FuroshikiError as error:
        if free:
            return
        raise invalid(f"The model does not take the inputs it declares: {error.message}") from None
    except ValueError:
        raise invalid("The model does not give as many outputs as it declares.") from None
    for spec in runner.signature.outputs:
        array = results[spec.name]
        if array.dtype != spec.dtype.numpy or not fits(array.shape, spec.shape):
            raise invalid(
                f"The model declares output {spec.name!r} as {spec.dtype.oip} {list(spec.shape)}; "
                f"it gives {array.dtype} {list(array.shape)}."
            )
