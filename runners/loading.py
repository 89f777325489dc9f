# SPDX-License-Identifier: Apache-2.0
"""From a verified bundle to a runner. Nothing else makes runners, and it accepts nothing that was not verified.

A model runs on the device its variant names: ``onnx-fp16/cuda`` on CUDA. Where that is not available it runs on the CPU, and
the log says from what, to what and why.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from artifacts.manifest import Manifest
from artifacts.signing.verifier import VerifiedBundle
from core.errors import ErrorCode, ModelError, Unavailable
from core.telemetry.logs import get_logger
from core.tensors import Signature
from runners.builtin import BUILTIN
from runners.interface import Backend, Runner, RunnerOptions
from runners.plugins import Offer, offers

CPU: Final = "cpu"
ENTRY: Final = "runner.entry"
"""Key of the manifest's metadata that names which of a model's several signatures is run."""

log = get_logger(__name__)


@cache
def backends() -> tuple[Offer, ...]:
    """Every backend of this installation, with the reason where it cannot be used. Looked up once; imports no runtime."""
    return tuple(offers(BUILTIN))


def backend_of(model_format: str, device: str = CPU) -> Backend:
    """The backend that loads a format on a device, or on the CPU if that is not available.

    Raises:
        Unavailable: ``DEVICE_001`` if none here does, with the reason of each that would.
    """
    able = [offer for offer in backends() if model_format in offer.formats]
    for offer in able:
        if offer.device == device and offer.reason is None:
            return offer.backend()
    for offer in able:
        if offer.device == CPU and offer.reason is None:
            reasons = [offer.reason for offer in able if offer.device == device]
            log.warning(
                "device_fallback",
                format=model_format,
                wanted=device,
                used=offer.name,
                reason=reasons[0] if reasons else f"no runner loads {model_format} on {device}",
            )
            return offer.backend()
    raise Unavailable(ErrorCode.DEVICE_UNAVAILABLE, _none(model_format, able))


def _none(model_format: str, able: list[Offer]) -> str:
    if able:
        reasons = "; ".join(f"{offer.name}: {offer.reason or offer.device + ' only'}" for offer in able)
        return f"No runner of format {model_format!r} is available here. {reasons}."
    formats = ", ".join(sorted({name for offer in backends() if offer.reason is None for name in offer.formats}))
    return f"No runner here loads format {model_format!r}; it loads {formats}."


def device_of(variant: str) -> str:
    """The device a variant was made for: what stands behind the last slash of its name."""
    return variant.rpartition("/")[2]


def declared(manifest: Manifest) -> Signature:
    """The tensors a manifest declares.

    Raises:
        ModelError: ``MODEL_003`` if it declares none.
    """
    if manifest.signature is None:
        raise _other_tensors(manifest)
    return manifest.signature


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
    options = RunnerOptions(
        threads=options.threads,
        instances=options.instances,
        entry=options.entry or manifest.metadata.get(ENTRY),
    )
    runner = backend_of(manifest.format, device_of(manifest.variant)).load(bundle.files, options=options)
    if runner.signature != manifest.signature:
        runner.close()
        raise _other_tensors(manifest)
    return runner


def _other_tensors(manifest: Manifest) -> ModelError:
    return ModelError(ErrorCode.MODEL_INVALID, f"The tensors of {manifest.ref} are not those its manifest declares.")
