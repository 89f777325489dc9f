# SPDX-License-Identifier: Apache-2.0
"""The runner port: what executes one model on one device.

Lifecycle, in this order:

* ``Backend.load`` may block for seconds and may fail with ``MODEL_003``. It is given verified bytes and never a path.
* ``Runner.run`` blocks the calling thread, releases the GIL while it computes, and may be called from as many threads at
  once as ``RunnerOptions.instances`` says. It stays usable after a failure, and ends early when it is asked to stop.
* ``Runner.close`` frees the model's memory. It may be called twice; ``run`` after ``close`` raises ``MODEL_002``.

A ``RunnerPlugin`` offers a backend without importing its runtime. Backends of other distributions are found by their entry
points (:mod:`runners.plugins`); they are held to the same port, whose version they name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from core.tensors import Array, Signature

PORT_VERSION: Final = 1
"""Of everything in this module. It rises when a backend written for it before could no longer be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerOptions:
    """How a model uses its device."""

    threads: int = 1  # threads inside one execution (intra-op)
    instances: int = 1  # executions in flight at once
    entry: str | None = None  # which of a model's several signatures is run; None: the runtime's default


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


@runtime_checkable
class StatesPrecision(Protocol):
    """A runner that knows the precision of its model's numbers inside, which its inputs and outputs need not show."""

    @property
    def precision(self) -> str:
        """As in the name of a variant: fp32, fp16, bf16, fp64, int8, int8dyn or int8w16a."""
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


class RunnerPlugin(Protocol):
    """Offers one backend: says what it would load, and whether it can, before anything heavy is imported."""

    @property
    def port(self) -> int:
        """The :data:`PORT_VERSION` it was written for."""
        ...

    @property
    def name(self) -> str:
        """That of its backend, unique in an installation, for example ``onnx-cpu``."""
        ...

    @property
    def formats(self) -> frozenset[str]:
        """The manifest formats its backend loads."""
        ...

    @property
    def device(self) -> str:
        """What its backend computes on, as in the name of a variant: ``cpu``, ``cuda``, ``edgetpu``."""
        ...

    def is_available(self) -> str | None:
        """None if the backend can be made here, else the reason and the remedy. Cheap; imports no runtime."""
        ...

    def backend(self) -> Backend:
        """Makes the backend, importing its runtime. Called at most once, and only if it is available."""
        ...
