# SPDX-License-Identifier: Apache-2.0
"""Runs of an onnxruntime session on a CUDA device with bound inputs and outputs.

Bound inputs are copied to the device before the run; bound outputs stay on the device until the run has ended and are then
copied once each. The plain ``run`` would let the runtime choose per operator where each tensor lives. A binding belongs to
one run, so that several threads may share the session. Inputs are copied from the caller's own memory, which is not
page-locked: onnxruntime lends such memory of its CUDA provider to C++ only. The device is the first that the process may see.

Reference: https://onnxruntime.ai/docs/api/python/api_summary.html#iobinding
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from core.tensors import Array, DType, Signature
from runners.backends.failures import check_shapes

_UNBOUND: Final = frozenset({DType.BYTES, DType.BF16})  # strings live on the host; numpy has no bfloat16 to bind


class BoundSession:
    """A session whose ``run`` binds.

    Args:
        session: The open ``onnxruntime.InferenceSession``, on a CUDA provider.
        signature: Its tensors.
        device: Where outputs are bound, in onnxruntime's words.
    """

    def __init__(self, session: Any, signature: Signature, *, device: str = "cuda") -> None:
        self._session = session
        self._device = device
        self._signature = signature

    @staticmethod
    def suits(signature: Signature) -> bool:
        """Whether all tensors can be bound."""
        return not any(spec.dtype in _UNBOUND for spec in (*signature.inputs, *signature.outputs))

    def run(self, outputs: Sequence[str], feed: Mapping[str, Array], options: Any) -> list[Array]:
        """As ``InferenceSession.run``."""
        check_shapes(self._signature, feed)  # a run with bindings fails alike for these and for faults of the device
        binding = self._session.io_binding()
        for spec in self._signature.inputs:
            binding.bind_cpu_input(spec.name, feed[spec.name])
        for name in outputs:
            binding.bind_output(name, self._device)
        binding.synchronize_inputs()
        self._session.run_with_iobinding(binding, options)
        binding.synchronize_outputs()
        results: list[Array] = binding.copy_outputs_to_cpu()
        return results
