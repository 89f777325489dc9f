# SPDX-License-Identifier: Apache-2.0
"""The runner port: what executes one model on one device.

Lifecycle, in this order:

* ``Backend.load`` may block for seconds and may fail with ``MODEL_003``. It is given verified bytes and never a path.
* ``Runner.run`` blocks the calling thread, releases the GIL while it computes, and may be called from as many threads at
  once as ``RunnerOptions.instances`` says. It raises ``INFER_001`` and stays usable after a failure.
* ``Runner.close`` frees the model's memory. It may be called twice; ``run`` after ``close`` raises ``MODEL_002``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from core.tensors import Array, Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerOptions:
    """How a model uses its device."""

    threads: int = 1  # threads inside one execution (intra-op)
    instances: int = 1  # executions in flight at once


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

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Executes one batch.

        Args:
            inputs: Exactly the signature's inputs, with its dtypes and shapes, row-major.

        Returns:
            Every output of the signature. The arrays belong to the caller.

        Raises:
            OperatorError: ``INFER_001`` if the runtime fails.
            Unavailable: ``MODEL_002`` after ``close``.
        """
        ...

    def close(self) -> None:
        """Frees the model's memory. May be called twice."""
        ...


class Backend(Protocol):
    """One runtime on one device class: makes runners from verified files."""

    @property
    def name(self) -> str: ...

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
