# SPDX-License-Identifier: Apache-2.0
"""From verified, sealed files to a model in its own process."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from artifacts.manifest import Manifest
from core.errors import ErrorCode, InitError, Unavailable
from core.telemetry import metrics
from runners.isolation.handle import IsolatedHandle, Queueing
from runners.isolation.options import IsolationOptions
from runners.isolation.order import Order
from runners.isolation.process import ModelProcess
from runners.isolation.sealed import SealedFiles
from runners.loading import CPU, device_of
from runners.remote.handle import RemoteHandle

_GREETING_S: Final = 30.0  # for a process that has loaded its model to say so once more
_UNBOUNDED: Final = 1 << 60  # the batcher's queue has the limits


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedBundle:
    """A bundle that passed every check of the verifier, its files in sealed memory."""

    manifest: Manifest
    digest: str  # of the manifest
    key_id: str  # the key whose signature was verified
    files: SealedFiles
    options: IsolationOptions  # of its process


async def isolate(bundle: SealedBundle, queueing: Queueing) -> IsolatedHandle:
    """Starts a process that loads the bundle's model. The sealed files belong to the handle; they are freed if this fails.

    Raises:
        ModelError: ``MODEL_003`` if the runtime refuses the model.
        Unavailable: ``DEVICE_001`` if there is no runner or no memory for it, ``MODEL_002`` if loading takes too long.
    """
    manifest, options = bundle.manifest, bundle.options
    restarts = metrics.MODEL_PROCESS_RESTARTS.labels(manifest.tenant, manifest.model, str(manifest.version))
    wire = replace(options.wire, in_flight_bytes=_UNBOUNDED)
    order = Order(
        manifest=manifest.to_bytes(),
        digest=bundle.digest,
        key_id=bundle.key_id,
        index=bundle.files.index,
        options=queueing.options,
        wire=wire,
        inline_below_s=options.inline_below_s,
        memory_bytes=options.memory_bytes,
        confined=device_of(manifest.variant) == CPU,  # others are reached through files and sockets of their own
        log_level=options.log_level,
        log_style=options.log_style,
    )
    process = ModelProcess(
        order, bundle.files, label=str(manifest.ref), start_s=options.start_s, restarted=restarts.inc
    )
    try:
        await process.start()
        remote = RemoteHandle(process.dial, limits=wire, max_wait_s=queueing.limits.max_wait_s)
        try:
            await _greeted(remote, manifest)
            return IsolatedHandle(process, remote, manifest=manifest, queueing=queueing, hang_s=options.hang_s)
        except BaseException:
            await remote.close()
            raise
    except BaseException:
        await process.close()
        raise


async def _greeted(remote: RemoteHandle, manifest: Manifest) -> None:
    try:
        await remote.start(_GREETING_S)
    except InitError:
        message = f"The process of {manifest.ref} has loaded the model and does not answer."
        raise Unavailable(ErrorCode.MODEL_NOT_READY, message, retry_after=1.0) from None
