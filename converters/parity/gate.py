# SPDX-License-Identifier: Apache-2.0
"""The parity gate: from the folder of a candidate to its report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from converters.calibration import Calibration
from converters.parity.compare import Side, compare, rejected
from converters.parity.data import Data, offered
from converters.parity.execution import open_model, size_of
from converters.parity.interface import LoadedModel
from converters.parity.report import Report, Thresholds
from converters.parity.running import run_rows, steps
from core.errors import ErrorCode, FuroshikiError, ModelError
from core.tensors import Signature


def data_for(model: LoadedModel, calibration: Calibration | None, vocabulary: Mapping[str, int] | None = None) -> Data:
    """Data that the source really processes.

    Args:
        model: The loaded source.
        calibration: Checked against its signature; None: random rows only.
        vocabulary: Sizes by input, see :func:`converters.parity.data.vocabulary`.

    Raises:
        ModelError: ``MODEL_003`` with the runtime's reason if it processes none.
    """
    names = {spec.name: spec.name for spec in model.signature.inputs}
    size = steps(model.sizes, model.sizes)[0].source
    first: Exception | None = None
    for data in offered(model.signature, calibration, vocabulary):
        try:
            run_rows(model, {name: array[:1] for name, array in data.arrays.items()}, names, size=size)
        except Exception as error:
            first = first or error
        else:
            return data
    reason = " ".join(str(first).split())[:400]
    raise ModelError(
        ErrorCode.MODEL_INVALID,
        f"The source model runs neither calibration data nor made-up inputs: {reason}. Give calibration data that fits.",
    )


def judge(
    source: Side, folder: Path, variant: str, *, signature: Signature | None, data: Data, thresholds: Thresholds
) -> Report:
    """Loads a candidate, compares it with its source, unloads it.

    Args:
        source: The loaded source.
        folder: The candidate's files and nothing else.
        variant: Its name, "<format>-<precision>/<device>".
        signature: Its own, for formats that do not name their tensors; None: the source's.
        data: Of :func:`data_for`.
        thresholds: The bounds.

    Returns:
        The report; "rejected" also if the candidate cannot be loaded or run.

    Raises:
        Exception: The source could not be run.
    """
    size = size_of(folder)
    try:
        model = open_model(folder, variant.partition("-")[0], signature or source.model.signature)
    except FuroshikiError as error:
        return rejected(source, variant, error.message, size=size, data=data, thresholds=thresholds)
    try:
        return compare(source, Side(variant=variant, model=model, bytes=size), data, thresholds)
    finally:
        model.close()
