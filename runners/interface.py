# SPDX-License-Identifier: Apache-2.0
"""The runner port: what executes one model on one device.

Lifecycle, in this order:

* ``Backend.load`` may block for seconds and may fail with ``MODEL_003``. It is given verified bytes and never a path.
* ``Runner.run`` blocks the calling thread, releases the GIL while it computes, and may be called from as many threads at
  once as ``RunnerOptions.instances`` says. It stays usable after a failure, and ends early when it is asked to stop.
* ``Runner.close`` frees the model's memory. It may be called twice; ``run`` after ``close`` raises ``MODEL_002``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from core.tensors import Array, Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerOptions:
    """How a model uses its device."""

    threads: int = 1  # threads inside one execution (intra-op)
    instances: int = 1  # executions in flight at once


class StopSignal:
    """Asks one execution to end early. May be stopped from any thread, and before the execution begins."""

    __slots__ = ("_ask", "stopped")

    def __init__(self) -> None:
        self.stopped = False
        self._ask: Callable[[], None] | None = None

    def on_stop(self, ask: Callable[[], None]) -> None:
        """Sets what the runner wants to be called, at once if the signal was given already."""
        self._ask = ask
        if self.stopped:
            ask()

    def stop(self) -> None:
        """Gives the signal. May be called twice."""
        self.stopped = True
        if self._ask is not None:
            self._ask()


class Runner(Protocol):
    """One loaded model."""

    @property
    def name(self) -> str:
        """Which runner this is, for example ``onnx-cpu``."""
        ...

    @property
    def signature(self) -> Signature:
        """The tensors the loaded model really takes and gives, read from the model itself."""
        ...

    def run(self, inputs: Mapping[str, Array], stop: StopSignal | None = None) -> dict[str, Array]:
        """Executes one batch.

        Args:
            inputs: Exactly the signature's inputs, with its dtypes and shapes, row-major.
            stop: When it is given, the execution ends as soon as the runtime can, with any error.

        Returns:
            Every output of the signature. The arrays belong to the caller.

        Raises:
            TensorError: ``TENSOR_006`` if the model cannot process these values.
            OperatorError: ``INFER_001`` if the runtime fails for another reason.
            Unavailable: ``MODEL_002`` after ``close``, ``DEVICE_001`` if the device has no memory for it.
        """
        ...

    def close(self) -> None:
        """Frees the model's memory. May be called twice."""
        ...


class Backend(Protocol):
    """One runtime on one device class: makes runners from verified files."""

    @property
    def name(self) -> str:
        """The name of its runners."""
        ...

    @property
    def version(self) -> str:
        """Of the runtime behind it."""
        ...

    @property
    def formats(self) -> frozenset[str]:
        """The manifest formats it loads."""
        ...

    def load(self, files: Mapping[str, bytes], *, options: RunnerOptions) -> Runner:
        """Loads a model from the bytes that were verified.

        Args:
            files: The bundle's files by path.
            options: Threads and instances.

        Raises:
            ModelError: ``MODEL_003`` with the runtime's reason if it refuses the files.
        """
        ...
