# SPDX-License-Identifier: Apache-2.0
"""Finds out what a model takes and gives, by asking the runtime in a child process.

At most a few children run at once, a bounded number of callers waits, and the same bytes of the same tenant are inspected
once: callers who ask together share one child, later ones get the remembered answer.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, NoReturn, TypeAlias

from artifacts.digest import Digest, StreamingDigest
from artifacts.manifest import FileEntry
from artifacts.stores.interface import BlobStore
from core.errors import ErrorCode, ModelError, Overloaded, StoreError
from core.telemetry.logs import get_logger
from core.tensors import Signature
from registry_api.models.uploads.answer import read_answer
from registry_api.models.uploads.child import ChildLimits, ChildResult, inspect_in_child

_log = get_logger(__name__)
_RETRY_SECONDS: Final = 5.0

Inspect: TypeAlias = Callable[[Path, ChildLimits], Awaitable[ChildResult]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What the runtime says about a model file."""

    signature: Signature
    precision: str  # such as "fp32"


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectionLimits:
    """Bounds of the inspector."""

    child: ChildLimits
    concurrent: int  # children at once
    waiting: int  # callers waiting for a child, those being served included
    remembered: int  # answers kept


class ModelInspector:
    """Describes model files.

    Args:
        store: Where their bytes are.
        scratch: A private folder for copies; made when missing.
        limits: Bounds.
        inspect: Runs the child; another one in tests of the inspector itself.
    """

    def __init__(
        self, store: BlobStore, scratch: Path, limits: InspectionLimits, inspect: Inspect = inspect_in_child
    ) -> None:
        self._store = store
        self._scratch = scratch
        self._limits = limits
        self._inspect = inspect
        self._turn = asyncio.Semaphore(limits.concurrent)
        self._running: dict[tuple[str, Digest], asyncio.Task[Inspection]] = {}
        self._known: OrderedDict[tuple[str, Digest], Inspection] = OrderedDict()

    async def inspect(self, tenant: str, model: FileEntry) -> Inspection:
        """What ``model`` takes and gives.

        Raises:
            ModelError: ``MODEL_003`` with the runtime's reason.
            Overloaded: ``QUEUE_001`` if too many others wait.
        """
        key = (tenant, model.digest)
        if (known := self._known.get(key)) is not None:
            self._known.move_to_end(key)
            return known
        task = self._running.get(key)
        if task is None:
            if len(self._running) >= self._limits.waiting:
                _full(self._limits.waiting)
            task = self._running[key] = asyncio.create_task(self._run(tenant, model))
            task.add_done_callback(lambda done: self._settle(key, done))
        return await asyncio.shield(task)  # one caller who leaves does not end it for the others

    async def close(self) -> None:
        """Ends the children; may be called twice."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _settle(self, key: tuple[str, Digest], done: asyncio.Task[Inspection]) -> None:
        del self._running[key]
        if not done.cancelled() and done.exception() is None:
            self._known[key] = done.result()
            if len(self._known) > self._limits.remembered:
                self._known.popitem(last=False)

    async def _run(self, tenant: str, model: FileEntry) -> Inspection:
        async with self._turn:
            folder = await asyncio.to_thread(self._make_folder)
            try:
                path = folder / f"model{PurePosixPath(model.path).suffix.lower()}"
                await self._copy(tenant, model, path)
                return await self._ask(model, path)
            finally:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _make_folder(self) -> Path:
        self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="inspect-", dir=self._scratch))

    async def _copy(self, tenant: str, model: FileEntry, path: Path) -> None:
        seen = StreamingDigest()
        with await asyncio.to_thread(path.open, "xb") as file:
            async for chunk in self._store.stream(tenant, model.digest):
                seen.update(chunk)
                await asyncio.to_thread(file.write, chunk)
        if seen.value != model.digest:
            raise StoreError(
                ErrorCode.BLOB_CORRUPT, f"The stored file {model.path!r} is damaged. Send it again under a new upload."
            )

    async def _ask(self, model: FileEntry, path: Path) -> Inspection:
        try:
            result = await self._inspect(path, self._limits.child)
        except TimeoutError:
            _refuse(model, f"the runtime did not finish reading it within {self._limits.child.wall_seconds:g} s")
        if result.status < 0:
            _log.warning("model_crashed_runtime", digest=model.digest, status=result.status, stderr=result.stderr)
            _refuse(model, f"the runtime crashed reading it (signal {-result.status})")
        signature, precision = read_answer(model.path, result)
        return Inspection(signature=signature, precision=precision)


def _refuse(model: FileEntry, reason: str) -> NoReturn:
    raise ModelError(
        ErrorCode.MODEL_INVALID, f"File {model.path!r} cannot be used: {reason}.", details={"path": model.path}
    )


def _full(limit: int) -> NoReturn:
    raise Overloaded(
        ErrorCode.QUEUE_FULL,
        f"{limit} models are waiting to be inspected, the most allowed. Complete the upload again later.",
        retry_after=_RETRY_SECONDS,
    )
