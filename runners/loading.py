# SPDX-License-Identifier: Apache-2.0
"""From a verified bundle to a runner. Nothing else makes runners, and it accepts nothing that was not verified."""

from __future__ import annotations

from artifacts.signing.verifier import VerifiedBundle
from core.errors import ErrorCode, ModelError, Unavailable
from runners.interface import Backend, Runner, RunnerOptions


def backends() -> tuple[Backend, ...]:
    """Every backend of this installation. Imports their runtimes, which a process that runs no model need not carry."""
    from runners.backends.onnx import OnnxCpuBackend

    return (OnnxCpuBackend(),)


def backend_of(model_format: str) -> Backend:
    """The backend that loads a format.

    Raises:
        Unavailable: ``DEVICE_001`` if none here does.
    """
    found = backends()
    backend = next((candidate for candidate in found if model_format in candidate.formats), None)
    if backend is None:
        formats = ", ".join(sorted(name for candidate in found for name in candidate.formats))
        raise Unavailable(
            ErrorCode.DEVICE_UNAVAILABLE, f"No runner here loads format {model_format!r}; it loads {formats}."
        )
    return backend


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
    runner = backend_of(manifest.format).load(bundle.files, options=options)
    if runner.signature != manifest.signature:
        runner.close()
        raise ModelError(ErrorCode.MODEL_INVALID, f"The tensors of {manifest.ref} are not those its manifest declares.")
    return runner
