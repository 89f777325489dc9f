# SPDX-License-Identifier: Apache-2.0
"""One model of the demo with everything needed to tell whether the served one is the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Inputs: TypeAlias = Mapping[str, Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A model file, the requests to send and the answers its framework gives in process."""

    name: str
    file: Path
    description: str
    singles: Sequence[Inputs]  # one input per request
    batches: Sequence[Inputs]  # the same inputs in the same order, several per request
    output: str  # the output compared
    expected: Array  # in process, one row per input
    tolerance: float  # largest absolute difference accepted; 0: must be equal
    unit: str  # what the inputs are: rows, texts
    measure: Literal["accuracy", "same topic"]  # what ``score`` is
    score: Callable[[Array], float]  # of one output row per input, 0..1


def largest_difference(got: Array, expected: Array) -> float:
    """The largest absolute difference, exact for integers; infinite if the shapes differ or a value is not a number."""
    if got.shape != expected.shape:
        return float("inf")
    difference = float(np.abs(got.astype(np.float64) - expected).max(initial=0))
    return float("inf") if np.isnan(difference) else difference
