# SPDX-License-Identifier: Apache-2.0
"""From a verified bundle to a runner. Nothing else makes runners, and it accepts nothing that was not verified."""

from __future__ import annotations

from typing import Final

from artifacts.signing.verifier import VerifiedBundle
from core.errors import ErrorCode, ModelError, Unavailable
from runners.backends.onnx import OnnxCpuBackend
from runners.interface import Backend, Runner, RunnerOptions

BACKENDS: Final[tuple[Backend, ...]] = (OnnxCpuBackend(),)


def open_runner(bundle: VerifiedBundle, *, options: RunnerOptions) -> Runner:
    """Loads the bundle's model. Blocks.

    Args:
        bundle: What the verifier returned; its bytes are the bytes loaded.
        options: Threads and instances.

    Raises:
        Unavailable: ``DEVICE_001`` if no backend here loads the format.
        ModelError: ``MODEL_003`` if the runtime refuses the model, or the model's tensors are not those of the manifest.
    """
    manifest = bundle.manifest
    backend = next((candidate for candidate in BACKENDS if manifest.format in candidate.formats), None)
    if backend is None:
        formats = ", ".join(sorted(name for candidate in BACKENDS for name in candidate.formats))
        raise Unavailable(
            ErrorCode.DEVICE_UNAVAILABLE, f"No runner here loads format {manifest.format!r}; it loads {formats}."
        )
    runner = backend.load(bundle.files, options=options)
    if runner.signature != manifest.signature:
        runner.close()
        raise ModelError(ErrorCode.MODEL_INVALID, f"The tensors of {manifest.ref} are not those its manifest declares.")
    return runner
