# SPDX-License-Identifier: Apache-2.0
"""Which tensor of a candidate is which of the source: converters rename, reorder and narrow.

By name; else by name without what exporters add (``serving_default_``, ``:0``); else the tensors that fit, in order. A wrong
guess of two alike tensors is not silent: the comparison then fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from core.errors import ErrorCode, ModelError, TensorError
from core.tensors import ANY, Array, Shape, TensorSpec

_ADDED: Final = re.compile(r"^serving_default_|:\d+$")


def match(source: tuple[TensorSpec, ...], candidate: tuple[TensorSpec, ...], *, what: str) -> dict[str, str]:
    """The candidate's name of every tensor of the source.

    Args:
        source: Inputs or outputs of the source.
        candidate: The same of the candidate.
        what: "input" or "output", for the message.

    Raises:
        ModelError: ``MODEL_003`` if their number differs or one has no counterpart of its shape.
    """
    if len(source) != len(candidate):
        _refuse(f"It has {len(candidate)} {what}s; the source has {len(source)}.")
    for key in (_same, _plain):
        names = {key(spec.name): spec.name for spec in candidate}
        if len(names) == len(candidate) and {key(spec.name) for spec in source} == set(names):
            found = {spec.name: names[key(spec.name)] for spec in source}
            if what == "input":
                _check_shapes(source, {spec.name: spec for spec in candidate}, found)
            return found
    return _by_shape(source, candidate, what)


def cast(array: Array, spec: TensorSpec) -> Array:
    """An input of the source in the datatype that the candidate takes.

    Raises:
        TensorError: ``TENSOR_005`` if a value does not survive, such as a token id that 32 bits cannot hold.
    """
    if array.dtype == spec.dtype.numpy:
        return array
    converted = array.astype(spec.dtype.numpy)
    if array.dtype.kind in "iu" and not np.array_equal(converted.astype(array.dtype), array):
        raise TensorError(ErrorCode.TENSOR_DATA, f"Values of input {spec.name!r} do not fit {spec.dtype.oip}.")
    return converted


def renamed(arrays: Mapping[str, Array], names: Mapping[str, str]) -> dict[str, Array]:
    """A candidate's outputs in the source's names."""
    return {ours: arrays[theirs] for ours, theirs in names.items()}


def _same(name: str) -> str:
    return name


def _plain(name: str) -> str:
    return _ADDED.sub("", _ADDED.sub("", name)).lower()


def _check_shapes(
    source: tuple[TensorSpec, ...], candidate: Mapping[str, TensorSpec], found: Mapping[str, str]
) -> None:
    for spec in source:
        theirs = candidate[found[spec.name]]
        if not _fits(spec, theirs):
            _refuse(f"Input {theirs.name!r} is {list(theirs.shape)}; the source's is {list(spec.shape)}.")


def _by_shape(source: tuple[TensorSpec, ...], candidate: tuple[TensorSpec, ...], what: str) -> dict[str, str]:
    left, found = list(candidate), dict[str, str]()
    for fit in (_fits_exactly, _fits):
        for spec in source:
            chosen = None if spec.name in found else _first(spec, left, fit)
            if chosen is not None:
                left.remove(chosen)
                found[spec.name] = chosen.name
    for spec in source:
        if spec.name not in found:
            shapes = ", ".join(f"{each.name} {list(each.shape)}" for each in candidate)
            _refuse(f"No {what} fits {spec.name!r} {list(spec.shape)} of the source; there are {shapes}.")
    return {spec.name: found[spec.name] for spec in source}


def _first(
    spec: TensorSpec, left: list[TensorSpec], fit: Callable[[TensorSpec, TensorSpec], bool]
) -> TensorSpec | None:
    return next((each for each in left if fit(spec, each)), None)


def _fits_exactly(a: TensorSpec, b: TensorSpec) -> bool:
    return a.dtype is b.dtype and _compatible(a.shape, b.shape)


def _fits(a: TensorSpec, b: TensorSpec) -> bool:
    return _compatible(a.shape, b.shape)


def _compatible(a: Shape, b: Shape) -> bool:
    """Whether two shapes can be of one tensor; the first dimension may be a batch that the conversion fixed."""
    return len(a) == len(b) and all(x == y or ANY in (x, y) for x, y in zip(a[1:], b[1:], strict=True))


def _refuse(message: str) -> None:
    raise ModelError(ErrorCode.MODEL_INVALID, f"The candidate cannot be compared with its source. {message}")
