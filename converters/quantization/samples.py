# SPDX-License-Identifier: Apache-2.0
"""Calibration rows as a model in the middle of a conversion wants them: in its names, datatypes and batch sizes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from sys import stderr
from typing import Final

from converters.calibration import Calibration, batch_of, open_calibration
from converters.interface import ConvertOptions, refused
from converters.parity.matching import cast, match
from core.errors import FuroshikiError
from core.tensors import ANY, Array, Signature

RANGE_ROWS: Final = 256  # the first rows; ranges of activations settle long before


def calibration_of(options: ConvertOptions, model: Signature, *, step: str) -> Calibration:
    """The calibration data of a conversion.

    Args:
        options: Say where it lies and, if known, for which signature it was made: the uploaded model's.
        model: The signature of the model at hand, if the other is not known.
        step: The recipe, for messages.

    Raises:
        ModelError: ``MODEL_003`` if there is none.
        InvalidRequest: As :func:`converters.calibration.open_calibration`.
        TensorError: As :func:`converters.calibration.open_calibration`.
    """
    if options.calibration is None:
        raise refused("it needs calibration data: real inputs, from which the ranges of activations follow.", step=step)
    return open_calibration(options.calibration, options.signature or model)


def samples(
    calibration: Calibration, made_for: Signature, model: Signature, *, free: int = 1
) -> Iterator[dict[str, Array]]:
    """Inputs of single executions; a last one that is too short is left out, unless it is the only one.

    Args:
        calibration: The rows.
        made_for: The signature that the calibration data has the names of.
        model: The signature of the model to be run.
        free: Rows of one execution where the model takes any number.

    Raises:
        ModelError: ``MODEL_003`` if the two signatures are not of one model, or there are fewer rows than one execution has.
        TensorError: ``TENSOR_005`` if a value does not fit the model's datatype.
    """
    names = match(made_for.inputs, model.inputs, what="input")
    specs = {spec.name: spec for spec in model.inputs}
    batch = batch_of(model)
    size = free if batch == ANY else batch or 1
    rows = min(calibration.rows, RANGE_ROWS)
    if rows < size and batch != ANY:
        raise refused(f"one execution takes {size} rows, the calibration data has {rows}.", step="calibration")
    for start in range(0, max(1, rows - size + 1), size):
        taken = calibration.part(start, min(start + size, rows))
        yield {
            theirs: cast(taken[name][0] if batch is None else taken[name], specs[theirs])
            for name, theirs in names.items()
        }


@contextmanager
def refusing(step: str) -> Iterator[None]:
    """Turns what a library raises about a model into ``MODEL_003``, and keeps its talk off stdout.

    Libraries raise whatever comes along for what they do not support, so nothing finer can be told apart.

    Raises:
        ModelError: ``MODEL_003`` with the library's reason.
    """
    try:
        with redirect_stdout(stderr):
            yield
    except (FuroshikiError, MemoryError, OSError):
        raise
    except Exception as error:
        raise refused(f"{type(error).__name__}: {' '.join(str(error).split())[:400]}", step=step) from error
