# SPDX-License-Identifier: Apache-2.0
"""Finds out what a model takes and gives, by asking the runtime in a child process.

The child gets a copy of all files of the upload, because a model may keep its weights beside it. A few children run at once,
a bounded number of callers waits, both also per tenant, and the same files of the same tenant are inspected once: callers
who ask together share one child, later ones get the remembered answer.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeAlias

import orjson

from artifacts.digest import Digest, digest_bytes
from artifacts.manifest import FileEntry
from artifacts.stores.interface import BlobStore
from core.errors import ErrorCode, ModelError
from core.telemetry.logs import get_logger
from core.tensors import Signature
from registry_api.models.uploads.answer import read_answer
from registry_api.models.uploads.child import ChildLimits, ChildResult, inspect_in_child
from registry_api.models.uploads.copies import copied
from registry_api.models.uploads.policy import check_total
from registry_api.models.uploads.turns import TurnLimits, Turns

_log = get_logger(__name__)

Inspect: TypeAlias = Callable[[Path, ChildLimits], Awaitable[ChildResult]]
_Key: TypeAlias = tuple[str, Digest]  # tenant, digest of the file list


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What the runtime says about a model file."""

    signature: Signature
    precision: str  # such as "fp32"


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectionLimits:
    """Bounds of the inspector."""

    child: ChildLimits
    turns: TurnLimits
    copy_bytes: int  # of all files of one upload
    remembered: int  # answers kept


class ModelInspector:
    """Describes models.

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
        self._turns = Turns(limits.turns)
        self._running: dict[_Key, asyncio.Task[Inspection]] = {}
        self._known: OrderedDict[_Key, Inspection] = OrderedDict()

    async def inspect(self, tenant: str, files: Sequence[FileEntry], *, model: FileEntry) -> Inspection:
        """What a model takes and gives.

        Args:
            tenant: Whose it is.
            files: All files of its upload.
            model: The one of them that is the model; the others accompany it.

        Raises:
            InvalidRequest: ``VALID_003`` if the files together are larger than a copy may be.
            ModelError: ``MODEL_003`` with the runtime's reason.
            Overloaded: ``QUEUE_001`` if too many others wait.
        """
        key = (tenant, _digest(files))
        if (known := self._known.get(key)) is not None:
            self._known.move_to_end(key)
            return known
        task = self._running.get(key)
        if task is None:
            check_total(files, max_total=self._limits.copy_bytes)
            self._turns.enter(tenant)
            task = self._running[key] = asyncio.create_task(self._run(tenant, files, model))
            task.add_done_callback(lambda done: self._settle(key, done))
        return await asyncio.shield(task)  # one caller who leaves does not end it for the others

    async def close(self) -> None:
        """Ends the children; may be called twice."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _settle(self, key: _Key, done: asyncio.Task[Inspection]) -> None:
        del self._running[key]
        self._turns.leave(key[0])
        if not done.cancelled() and done.exception() is None:
            self._known[key] = done.result()
            if len(self._known) > self._limits.remembered:
                self._known.popitem(last=False)

    async def _run(self, tenant: str, files: Sequence[FileEntry], model: FileEntry) -> Inspection:
        async with self._turns.turn(tenant), copied(self._store, tenant, files, self._scratch) as folder:
            return await self._ask(model, folder)

    async def _ask(self, model: FileEntry, folder: Path) -> Inspection:
        try:
            result = await self._inspect(folder, self._limits.child)
        except TimeoutError:
            _refuse(model, f"the runtime did not finish reading it within {self._limits.child.wall_seconds:g} s")
        if result.status < 0:
            _log.warning("model_crashed_runtime", digest=model.digest, status=result.status, stderr=result.stderr)
            _refuse(model, f"the runtime crashed reading it (signal {-result.status})")
        signature, precision = read_answer(model.path, result)
        return Inspection(signature=signature, precision=precision)


def _digest(files: Sequence[FileEntry]) -> Digest:
    """Names the content of a folder: equal for the same bytes at the same paths, in whatever order they are given."""
    return digest_bytes(orjson.dumps(sorted((entry.path, entry.digest) for entry in files)))


def _refuse(model: FileEntry, reason: str) -> NoReturn:
    raise ModelError(
        ErrorCode.MODEL_INVALID, f"File {model.path!r} cannot be used: {reason}.", details={"path": model.path}
    )
