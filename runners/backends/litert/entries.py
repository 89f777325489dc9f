# SPDX-License-Identifier: Apache-2.0
"""The signatures of a TFLite model, and which of them runs how many rows.

A converter that cannot make the batch free writes one signature per batch size into one file, weights shared. Signatures
that differ in nothing but the first dimension of every tensor are one model that takes any number of rows; a request is cut
into the sizes there are:

Law: ``sum(min(size, left)) == rows``: as many rows as asked for are used of the runs planned, in order; only the last run is
filled up, and no size that is larger than needed is taken where a smaller one would hold the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.tensors import Signature
from runners.backends.failures import invalid
from runners.backends.litert.tensors import Edge, edge


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One signature of the model.

    Attributes:
        key: Its name; None: the model has none, its tensors are those of the main graph.
        inputs: In the order of the signature.
        outputs: Likewise.
    """

    key: str | None
    inputs: tuple[Edge, ...]
    outputs: tuple[Edge, ...]

    @property
    def signature(self) -> Signature:
        return Signature(
            inputs=tuple(item.spec for item in self.inputs), outputs=tuple(item.spec for item in self.outputs)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """The signatures that one runner runs.

    Attributes:
        by_rows: The signature for each batch size, smallest first; empty: ``only`` takes what it takes.
        only: The one signature of a model that is not split by batch sizes, else the smallest.
        signature: As callers see it.
    """

    by_rows: Mapping[int, Entry]
    only: Entry
    signature: Signature

    def plan(self, rows: int) -> list[int]:
        """The batch sizes that ``rows`` rows, at least one, are run with, in order."""
        sizes = list(self.by_rows)
        largest = sizes[-1]
        full, left = divmod(rows, largest)
        return [largest] * full + ([next(size for size in sizes if size >= left)] if left else [])


def read_entries(interpreter: Any, wanted: str | None) -> Entries:
    """What an interpreter's model can run.

    Args:
        interpreter: An ``Interpreter``.
        wanted: Name of the one signature to run; None: all of them if they differ by batch size only, else the only one,
            else ``serving_default``.

    Raises:
        ModelError: ``MODEL_003`` if there is no such signature, or several and none is the default.
    """
    entries = _all(interpreter)
    if wanted is not None:
        entries = [entry for entry in entries if entry.key == wanted] or _refuse(entries, f"no signature {wanted!r}")
    sized = _by_rows(entries)
    if len(sized) > 1:
        only = next(iter(sized.values()))
        return Entries(by_rows=sized, only=only, signature=only.signature.with_any_batch())
    if len(entries) > 1:
        default = [entry for entry in entries if entry.key == "serving_default"]
        entries = default or _refuse(entries, "several signatures and none of them 'serving_default'")
    return Entries(by_rows={}, only=entries[0], signature=entries[0].signature)


def _all(interpreter: Any) -> list[Entry]:
    keys = interpreter.get_signature_list()
    if not keys:
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        return [Entry(key=None, inputs=_named(inputs), outputs=_named(outputs))]
    found = []
    for key in keys:
        runner = interpreter.get_signature_runner(key)
        inputs, outputs = runner.get_input_details(), runner.get_output_details()
        found.append(
            Entry(
                key=key,
                inputs=tuple(edge(name, details) for name, details in inputs.items()),
                outputs=tuple(edge(name, details) for name, details in outputs.items()),
            )
        )
    return found


def _named(details: Sequence[Mapping[str, Any]]) -> tuple[Edge, ...]:
    return tuple(edge(str(item["name"]), item) for item in details)


def _by_rows(entries: Sequence[Entry]) -> dict[int, Entry]:
    """The entries by batch size, if they are one model in several sizes."""
    sizes = {entry.signature.batch_size or 0: entry for entry in entries}
    shapes = {_without_rows(entry) for entry in entries}
    if len(sizes) != len(entries) or len(shapes) != 1 or min(sizes) < 1:
        return {}
    return dict(sorted(sizes.items()))


def _without_rows(entry: Entry) -> tuple[Any, ...]:
    edges = (*entry.inputs, *entry.outputs)
    return tuple(replace(item.spec, shape=item.shape[1:]) for item in edges)


def _refuse(entries: Sequence[Entry], why: str) -> list[Entry]:
    names = ", ".join(str(entry.key) for entry in entries)
    raise invalid(f"The model has {why}; it has {names}. Name one in the metadata 'runner.entry'.")
