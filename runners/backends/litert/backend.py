# SPDX-License-Identifier: Apache-2.0
"""TFLite models: one interpreter per execution in flight, as an interpreter is not thread-safe.

All interpreters of a model read the same bytes in place. An interpreter is made when a run finds none free and fewer than
``instances`` exist; beyond that a run waits for one. The API copies inputs into the interpreter's memory and outputs out of
it, once each: nothing can be shared with the caller. An execution cannot be interrupted; a stop takes effect between those
that a request is cut into. An interpreter whose run failed is dropped, since it may be left half resized. A delegate serves
one interpreter, so each has its own.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from queue import LifoQueue
from typing import Any, Final

import numpy as np

from artifacts.formats import FORMATS
from core.errors import ErrorCode, Unavailable
from core.tensors import Array
from runners.backends.failures import check_not_stopped, check_shapes, failure, refused, unloaded, words
from runners.backends.litert.entries import Entries, Entry, read_entries
from runners.backends.litert.flatbuffer import check_root
from runners.backends.litert.precision import precision_of
from runners.backends.litert.runtime import RUNTIME, VERSION, load_delegate, open_interpreter
from runners.hardware.delegates import Delegate, library_of
from runners.interface import RunnerOptions, StopSignal

_REJECTIONS: Final = (ValueError, RuntimeError)
_REFUSALS: Final = (ValueError, RuntimeError, TypeError)


class LitertBackend:
    """Loads ``tflite`` bundles.

    Args:
        delegate: What the operators it supports run on; None: XNNPACK on the CPU.
    """

    version: str = VERSION
    formats = frozenset({"tflite"})

    def __init__(self, delegate: Delegate | None = None) -> None:
        self.name = f"litert-{'cpu' if delegate is None else delegate.device}"
        self._delegate = delegate

    def load(self, files: Mapping[str, bytes], *, options: RunnerOptions) -> LitertRunner:
        """Makes the first interpreter of the bundle's only ``.tflite`` file.

        Raises:
            ModelError: ``MODEL_003`` if there is not exactly one such file or the runtime refuses it.
            Unavailable: ``DEVICE_001`` if the delegate finds no device.
        """
        model = files[FORMATS["tflite"].main(files)]
        check_root(model)
        return LitertRunner(model, options, self._delegate, name=self.name)


def _loaded(delegate: Delegate) -> Any:
    library = library_of(delegate)
    reason = library.reason  # asked first: the runtime's own failure leaves a half-made object behind
    if reason is None:
        try:
            return load_delegate(library.path, dict(delegate.options))
        except (OSError, ValueError) as error:
            reason = words(error)
    raise Unavailable(
        ErrorCode.DEVICE_UNAVAILABLE,
        f"Delegate {delegate.device!r} ({delegate.described}) is not available: {reason}",
    )


class LitertRunner:
    """One TFLite model.

    Args:
        model: The flatbuffer.
        options: Threads, instances and the signature to run.
        delegate: What the operators it supports run on; None: the CPU.
        name: The runner's name.
    """

    def __init__(self, model: bytes, options: RunnerOptions, delegate: Delegate | None, *, name: str) -> None:
        self.name = name
        self._model = model
        self._threads = options.threads
        self._delegate = delegate
        first = self._open()
        self._entries: Entries = read_entries(first.interpreter, options.entry)
        self.precision = precision_of(first.interpreter)
        self.signature = self._entries.signature
        self._free: LifoQueue[_Slot | None] = LifoQueue()
        self._free.put(first)
        self._may_open = threading.Semaphore(max(options.instances, 1) - 1)
        self._closed = False

    def run(self, inputs: Mapping[str, Array], stop: StopSignal | None = None) -> dict[str, Array]:
        check_not_stopped(stop)
        check_shapes(self.signature, inputs)
        slot = self._take()
        kept: _Slot | None = None
        try:
            results = self._run(slot, inputs, stop)
            kept = slot
        except Exception as error:
            raise failure(RUNTIME, error, rejections=_REJECTIONS) from None
        finally:
            self._give(kept)
        return results

    def close(self) -> None:
        self._closed = True
        self._model = b""
        while not self._free.empty():
            self._free.get()
        self._free.put(None)  # wakes one that waits, which wakes the next

    def _open(self) -> _Slot:
        delegates = [] if self._delegate is None else [_loaded(self._delegate)]
        try:
            interpreter = open_interpreter(self._model, threads=self._threads, delegates=delegates)
            interpreter.allocate_tensors()
        except _REFUSALS as error:
            raise refused(RUNTIME, error) from None
        return _Slot(interpreter)

    def _take(self) -> _Slot:
        """A free interpreter, a new one, or the next to become free."""
        slot: _Slot | None = None  # in the place of one that was not opened yet, or was dropped
        if self._closed or not self._free.empty() or not self._may_open.acquire(blocking=False):
            slot = self._free.get()
        if self._closed:
            self._free.put(None)
            raise unloaded()
        if slot is not None:
            return slot
        try:
            return self._open()
        except BaseException:
            self._free.put(None)
            raise

    def _give(self, slot: _Slot | None) -> None:
        """Puts one back; None in the place of one that was dropped, or after ``close``."""
        self._free.put(None if self._closed else slot)

    def _run(self, slot: _Slot, inputs: Mapping[str, Array], stop: StopSignal | None) -> dict[str, Array]:
        if not self._entries.by_rows:
            return slot.execute(self._entries.only, inputs)
        rows, done = len(inputs[self.signature.inputs[0].name]), 0
        parts: list[dict[str, Array]] = []
        for size in self._entries.plan(max(rows, 1)):
            check_not_stopped(stop)
            used = min(size, rows - done)
            chunk = {name: _filled(array[done : done + used], size) for name, array in inputs.items()}
            result = slot.execute(self._entries.by_rows[size], chunk)
            parts.append({name: array[:used] for name, array in result.items()})
            done += used
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class _Slot:
    """One interpreter, used by one execution at a time."""

    __slots__ = ("_signatures", "interpreter")

    def __init__(self, interpreter: Any) -> None:
        self.interpreter = interpreter
        self._signatures: dict[str, Any] = {}

    def execute(self, entry: Entry, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Runs one signature. The interpreter resizes its tensors where the shapes are others than before."""
        feed = {item: np.ascontiguousarray(item.inward(inputs[item.name])) for item in entry.inputs}
        if entry.key is not None:
            results = self._signature(entry.key)(**{item.name: array for item, array in feed.items()})
            return {item.name: item.outward(results[item.name]) for item in entry.outputs}
        interpreter = self.interpreter
        for item, array in feed.items():
            interpreter.resize_tensor_input(item.index, array.shape)
        interpreter.allocate_tensors()
        for item, array in feed.items():
            interpreter.set_tensor(item.index, array)
        interpreter.invoke()
        return {item.name: item.outward(interpreter.get_tensor(item.index)) for item in entry.outputs}

    def _signature(self, key: str) -> Any:
        found = self._signatures.get(key)
        if found is None:
            found = self._signatures[key] = self.interpreter.get_signature_runner(key)
        return found


def _filled(rows: Array, size: int) -> Array:
    """The rows, and copies of the last up to ``size``; zeros if there are none."""
    if len(rows) == size:
        return rows
    if not len(rows):
        return np.zeros((size, *rows.shape[1:]), rows.dtype)
    return np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])
