# SPDX-License-Identifier: Apache-2.0
"""What a model declares about its batches, in its signed manifest's metadata.

Nothing is assumed: without an entry a model whose tensors have no free first dimension runs each request alone, and nothing
is ever padded. The entries, each optional:

* ``batching.fixed``: ``true`` if the first dimension N of every tensor is a batch of exactly N rows. Requests share it, and
  what is missing is filled with copies of the last row.
* ``batching.max_rows``: the most rows one execution takes.
* ``batching.ragged``: a JSON object from input to axis (from 1), such as ``{"input_ids": 1, "attention_mask": 1}``. Requests
  that differ only in the length of these axes share a batch, padded to the longest.
* ``batching.ragged_mask``: the input, one of those, that marks what is real; it is padded with 0. Needed with
  ``batching.ragged``: a model that cannot tell padding from data would give other results in company than alone.
* ``batching.ragged_pad``: a JSON object from input to the value it is padded with; 0 by default.
* ``batching.ragged_outputs``: a JSON object from output to axis: outputs that are cut back to each request's length.

That rows are independent of each other is what makes any of this exact; it is the model's promise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn, TypeVar

import msgspec

from core.errors import ErrorCode, ModelError
from core.tensors import ANY, DType, Signature, TensorSpec

_Value = TypeVar("_Value")

PREFIX: Final = "batching."
_AXES: Final = msgspec.json.Decoder(dict[str, int])
_PADS: Final = msgspec.json.Decoder(dict[str, float])
_KEYS: Final = ("fixed", "max_rows", "ragged", "ragged_mask", "ragged_pad", "ragged_outputs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ragged:
    """Axes whose length may differ between the requests of a batch."""

    inputs: Mapping[str, int]  # axis of each ragged input
    pads: Mapping[str, float]  # what it is padded with
    outputs: Mapping[str, int] = field(default_factory=dict)  # axis of each output that is cut back


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """How a model takes batches."""

    fixed: int | None = None  # rows of every execution; None: any number, or no batch dimension
    max_rows: int | None = None  # the most rows of one execution; None: no limit of the model's own
    ragged: Ragged | None = None  # None: only exactly equal shapes share a batch

    @classmethod
    def read(cls, metadata: Mapping[str, str], signature: Signature) -> BatchOptions:
        """Reads and checks what a manifest declares.

        Args:
            metadata: The manifest's; other keys than ``batching.*`` are left alone.
            signature: The tensors of the loaded model.

        Raises:
            ModelError: ``MODEL_003`` naming the key, what it holds and what was expected.
        """
        entries = {key.removeprefix(PREFIX): text for key, text in metadata.items() if key.startswith(PREFIX)}
        for key, text in entries.items():
            if key not in _KEYS:
                _refuse(key, text, f"no such key; there are {', '.join(_KEYS)}")
        return cls(
            fixed=_fixed(entries, signature), max_rows=_max_rows(entries), ragged=_read_ragged(entries, signature)
        )

    def served(self, signature: Signature) -> Signature:
        """The tensors as callers see them: a fixed batch takes any number of rows up to its own."""
        return signature if self.fixed is None else signature.with_any_batch()

    @property
    def most(self) -> int | None:
        """The most rows of one execution; None: no limit of the model's own."""
        return self.max_rows if self.fixed is None else self.fixed


def _fixed(entries: Mapping[str, str], signature: Signature) -> int | None:
    text = entries.get("fixed", "false")
    if text not in ("true", "false"):
        _refuse("fixed", text, "expected 'true' or 'false'")
    if text == "false":
        return None
    if signature.batch_size is None or signature.batch_size <= 0:
        _refuse("fixed", text, "expected a model all of whose tensors begin with the same fixed dimension")
    if "ragged" in entries or "max_rows" in entries:
        _refuse("fixed", text, "expected neither 'batching.ragged' nor 'batching.max_rows' beside it")
    return signature.batch_size


def _max_rows(entries: Mapping[str, str]) -> int | None:
    text = entries.get("max_rows")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= 9 and int(text) > 0):
        _refuse("max_rows", text, "expected a whole number from 1")
    return int(text)


def _read_ragged(entries: Mapping[str, str], signature: Signature) -> Ragged | None:
    if "ragged" not in entries:
        for key in ("ragged_mask", "ragged_pad", "ragged_outputs"):
            if key in entries:
                _refuse(key, entries[key], "expected 'batching.ragged' beside it")
        return None
    if not signature.batched:
        _refuse("ragged", entries["ragged"], "expected a model whose tensors all begin with a free dimension")
    inputs = _axes("ragged", entries["ragged"], signature.inputs)
    outputs = _axes("ragged_outputs", entries.get("ragged_outputs", "{}"), signature.outputs, empty=True)
    mask = entries.get("ragged_mask", "")
    if mask not in inputs:
        _refuse("ragged_mask", mask, f"expected one of {', '.join(inputs)}")
    return Ragged(inputs=inputs, pads=_pads(entries.get("ragged_pad", "{}"), inputs, mask), outputs=outputs)


def _axes(key: str, text: str, specs: tuple[TensorSpec, ...], *, empty: bool = False) -> dict[str, int]:
    axes = _decoded(key, text, _AXES)
    known = {spec.name: spec for spec in specs}
    if not axes and not empty:
        _refuse(key, text, "expected at least one tensor")
    for name, axis in axes.items():
        spec = known.get(name)
        if spec is None:
            _refuse(key, text, f"{name!r} is none of the model's {', '.join(known)}")
        if not 0 < axis < len(spec.shape) or spec.shape[axis] != ANY or spec.dtype is DType.BYTES:
            _refuse(key, text, f"axis {axis} of {name!r} is not a free axis of numbers behind the batch")
    return axes


def _pads(text: str, inputs: Mapping[str, int], mask: str) -> dict[str, float]:
    pads = _decoded("ragged_pad", text, _PADS)
    for name in pads:
        if name not in inputs or (name == mask and pads[name] != 0):
            _refuse("ragged_pad", text, f"{name!r} is the mask, which is padded with 0, or no ragged input")
    return {name: pads.get(name, 0) for name in inputs}


def _decoded(key: str, text: str, decoder: msgspec.json.Decoder[_Value]) -> _Value:
    try:
        return decoder.decode(text)
    except (ValueError, RecursionError) as error:
        _refuse(key, text, f"expected a JSON object of numbers ({error})")


def _refuse(key: str, text: str, why: str) -> NoReturn:
    raise ModelError(ErrorCode.MODEL_INVALID, f"The model's metadata {PREFIX}{key} is {text[:200]!r}: {why}.")
