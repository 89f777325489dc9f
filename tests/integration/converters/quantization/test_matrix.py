# SPDX-License-Identifier: Apache-2.0
"""Every quantization of every kind of model: made, loaded, compared with its source on rows no recipe saw, and printed.

The table: how many times smaller, cosine, agreement of the top class, accuracy on held-out rows of digits (source -> result),
and latency as a share of the source's, at batch 1 and 8, one thread each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from converters.calibration import open_calibration
from converters.choice.front import front
from converters.interface import ConvertOptions
from converters.parity.compare import Side
from converters.parity.execution import open_model, size_of
from converters.parity.gate import data_for, judge
from converters.parity.picture import picture, scatter
from converters.parity.report import Report
from converters.parity.thresholds import thresholds_for
from converters.quantization.advice import ModelKind, advise, kind_of
from converters.quantization.catalogue import QUANTIZE
from core.errors import ModelError
from tests.integration.converters.quantization.sources import Made, keras_tflite, torch_onnx

MODELS: Final[dict[str, Callable[[Path], Made]]] = {
    **{f"onnx {name}": partial(torch_onnx, name=name) for name in ("cnn", "mlp", "transformer")},
    **{f"tflite {name}": partial(keras_tflite, name=name) for name in ("cnn", "mlp", "transformer", "mobilenetv2")},
}
KINDS: Final = {
    "cnn": ModelKind.CONVOLUTIONAL,
    "mobilenetv2": ModelKind.CONVOLUTIONAL,
    "mlp": ModelKind.DENSE,
    "transformer": ModelKind.TRANSFORMER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One quantization of one model: a report, or the reason why there is none."""

    precision: str
    report: Report | None
    refused: str = ""


@pytest.fixture(scope="session")
def printed() -> Iterator[list[str]]:
    """Rows of the matrix, printed when the last is there."""
    rows: list[str] = []
    yield rows
    print("\n(mobilenetv2 is synthetic: random weights, so its classes mean nothing)")
    print("quantization x model: times smaller | cosine | agreement | held-out accuracy | latency at 1, 8 | verdict")
    print("\n".join(rows))


def quantized(model: Made, root: Path) -> list[Cell]:
    """Every quantization of a model's format, judged on held-out rows."""
    source = open_model(model.folder, model.format)
    side = Side(variant=f"{model.format}-fp32/cpu", model=source, bytes=size_of(model.folder))
    data = data_for(source, open_calibration(model.held_out, source.signature))
    cells = []
    for recipe in QUANTIZE:
        if recipe.source != model.format:
            continue
        assert recipe.available() is None
        assert recipe.precision is not None
        target, scratch = root / recipe.name, root / f"{recipe.name}_scratch"
        target.mkdir()
        scratch.mkdir()
        options = ConvertOptions(
            precision=recipe.precision, signature=source.signature, calibration=model.calibration, scratch=scratch
        )
        try:
            recipe.convert(model.folder, target, options)
        except ModelError as error:
            cells.append(Cell(precision=recipe.precision, report=None, refused=error.message))
            continue
        variant = f"{model.format}-{recipe.precision}/cpu"
        report = judge(side, target, variant, signature=None, data=data, thresholds=thresholds_for(recipe.precision))
        cells.append(Cell(precision=recipe.precision, report=report))
    source.close()
    return cells


def row(name: str, cell: Cell) -> str:
    """One line of the matrix."""
    report = cell.report
    if report is None:
        return f"{name:20} {cell.precision:8} refused: {cell.refused}"
    accuracy = "-" if report.metric is None else f"{report.metric.source:.3f} -> {report.metric.value:.3f}"
    agreement = "-" if report.top1_agreement is None else f"{report.top1_agreement:.3f}"
    latency = ", ".join(f"{each.ms / each.source_ms:.2f}" for each in report.latency)
    numbers = f"{report.ratio:5.2f} | {report.cosine:.5f} | {agreement} | {accuracy:14} | {latency:10}"
    return f"{name:20} {cell.precision:8} {numbers} | {report.verdict} {' '.join(report.reasons)}"


@pytest.mark.parametrize("name", list(MODELS))
def test_every_quantization_works_or_says_why_not(name: str, tmp_path: Path, printed: list[str]) -> None:
    """No hole: each is smaller and judged; what is advised for the kind of model is accepted."""
    model = MODELS[name](tmp_path)
    kind = kind_of(model.folder, model.format)
    cells = quantized(model, tmp_path)
    printed.extend(row(name, cell) for cell in cells)

    assert kind is KINDS[model.name]
    reports = [cell.report for cell in cells if cell.report is not None]
    assert all(report.ratio > 1.3 for report in reports)
    assert all(report.outputs or report.reasons for report in reports)
    assert all(cell.refused for cell in cells if cell.report is None)
    advice = advise(kind, model.format, calibrated=True)
    (advised,) = (report for report in reports if report.precision == advice.precision)
    assert advised.accepted, advised.reasons
    if advised.metric is not None:
        assert advised.metric.source > 0.6  # it has learned: chance is 0.1
    best = front(reports)
    assert best
    assert best[0].bytes == min(report.bytes for report in reports if report.accepted)
    assert picture(advised) == picture(advised)
    assert scatter(reports).startswith(b"<svg")
