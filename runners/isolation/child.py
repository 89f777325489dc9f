# SPDX-License-Identifier: Apache-2.0
"""What runs in the process of a model: a split runner without a socket of its own, which loads sealed bytes.

It is given bytes that its parent verified, so it holds no trust and opens no file of the model. On a CPU it gives up every
file but Python's own and those of a private temporary folder before it loads them (:mod:`core.confinement`). The requests it
gets are batches already (:mod:`runners.isolation.executing`).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import resource
import socket
import tempfile
from pathlib import Path
from typing import Final

import uvloop

from artifacts.manifest import Manifest
from artifacts.signing.verifier import VerifiedBundle
from core import garbage
from core.confinement import confine
from core.errors import ErrorCode, FuroshikiError, ModelError
from core.telemetry import logs
from core.telemetry.logs import get_logger
from runners.cache import LoadedModel
from runners.interface import Runner
from runners.isolation.executing import DirectHandle
from runners.isolation.order import LOADED, Order, decode_order, refusal
from runners.isolation.sealed import unsealed, unsealed_files
from runners.loading import open_runner
from runners.remote.framing import ProtocolError
from runners.remote.messages import encode, offer_of
from runners.remote.server import serve
from runners.remote.session import Session

REFUSED: Final = 3  # exit code of a process that could not load its model and reported why
_KILLED_FIRST: Final = "500"  # of 1000: when memory runs out, rather than the service

log = get_logger(__name__)


def run(order_fd: int, files_fd: int, connection_fd: int, report_fd: int) -> int:
    """Loads the model and serves it until the connection ends; the exit code.

    Args:
        order_fd: Sealed memory with the order.
        files_fd: Sealed memory with the model's files.
        connection_fd: A connected Unix socket.
        report_fd: A pipe for the report.
    """
    order = decode_order(unsealed(order_fd))
    _limit(order.memory_bytes)
    logs.configure(level=order.log_level, style=order.log_style, service="model")
    if order.confined:
        log.info("model_process_confined", how=confine(write=[Path(tempfile.gettempdir())]))
    with os.fdopen(report_fd, "wb", 0) as report:
        try:
            loaded = _load(order, files_fd)
        except FuroshikiError as error:
            report.write(refusal(error))
            return REFUSED
        os.close(order_fd)
        os.close(files_fd)
        report.write(LOADED)
    uvloop.run(_serve(loaded, order, socket.socket(fileno=connection_fd)))
    return 0


def _limit(memory_bytes: int | None) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold what callers sent
    if memory_bytes is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_KILLED_FIRST)


def _load(order: Order, files_fd: int) -> tuple[Manifest, Runner]:
    """Loads what the parent's verifier returned."""
    manifest = Manifest.from_bytes(order.manifest)
    try:
        files = unsealed_files(files_fd, order.index)
        bundle = VerifiedBundle(manifest=manifest, digest=order.digest, key_id=order.key_id, files=files)
        runner = open_runner(bundle, options=order.options)
    except MemoryError:
        message = f"{manifest.ref} needs more memory than the {order.memory_bytes} bytes its process may have."
        raise ModelError(ErrorCode.MODEL_INVALID, message) from None
    del files, bundle
    with contextlib.suppress(AttributeError):  # glibc only
        ctypes.CDLL(None).malloc_trim(0)  # what loading needed and serving does not
    return manifest, runner


async def _serve(made: tuple[Manifest, Runner], order: Order, connection: socket.socket) -> None:
    manifest, runner = made
    loaded = LoadedModel(
        tenant=manifest.tenant,
        model=manifest.model,
        version=str(manifest.version),
        digest=order.digest,
        key_id=order.key_id,
        size=manifest.size,
        handle=DirectHandle(
            runner, options=order.options, inline_below_s=order.inline_below_s, label=str(manifest.ref)
        ),
        output_dtypes={spec.name: spec.dtype for spec in runner.signature.outputs},
    )
    connection.setblocking(False)
    try:
        await serve(
            connection, Session(loaded, order.wire, left=_leave), offer=encode(offer_of(loaded)), limits=order.wire
        )
    except (ProtocolError, OSError) as error:
        log.error("connection_refused", reason=str(error))
        return
    garbage.settle()
    await asyncio.Event().wait()


def _leave(_session: Session) -> None:
    os._exit(0)
