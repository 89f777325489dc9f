# SPDX-License-Identifier: Apache-2.0
"""Every quantization of every kind of small model: made, loaded, compared with fp32 on rows no recipe saw, and printed.

MobileNetV2 and MiniLM are in the matrix of ``make matrix``; see ``docs/conversion-matrix.md``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from converters.choice.front import front
from converters.parity.picture import picture, scatter
from converters.parity.report import Report
from converters.quantization.advice import ModelKind, advise, kind_of
from converters.quantization.catalogue import QUANTIZE
from core.errors import ModelError
from tests.integration.converters.quantized import base_of, opened, quantize

KINDS: Final = {
    "digits": ModelKind.CONVOLUTIONAL,
    "mlp": ModelKind.DENSE,
    "transformer": ModelKind.TRANSFORMER,
}
CASES: Final = (
    *((form, model) for form in ("onnx", "tflite") for model in KINDS),
    ("saved_model", "digits"),
)


@pytest.fixture(scope="session")
def printed() -> Iterator[list[str]]:
    """Rows of the matrix, printed when the last is there."""
    rows: list[str] = []
    yield rows
    print("\nquantization x model: times smaller | cosine | agreement | held-out accuracy | latency at 1, 8 | verdict")
    print("\n".join(rows))


def line(name: str, report: Report) -> str:
    """One line of the matrix."""
    accuracy = "-" if report.metric is None else f"{report.metric.source:.3f} -> {report.metric.value:.3f}"
    agreement = "-" if report.top1_agreement is None else f"{report.top1_agreement:.3f}"
    latency = ", ".join(f"{each.ms / each.source_ms:.2f}" for each in report.latency)
    numbers = f"{report.ratio:5.2f} | {report.cosine:.5f} | {agreement} | {accuracy:14} | {latency:10}"
    return f"{name:42} {numbers} | {report.verdict} {' '.join(report.reasons)}"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("form", "model"), CASES, ids=["-".join(case) for case in CASES])
def test_every_quantization_works_or_says_why_not(form: str, model: str, tmp_path: Path, printed: list[str]) -> None:
    """No hole: each is smaller and judged; what is advised for the kind of model is accepted."""
    base = base_of(form, model, tmp_path)
    reports: dict[str, Report] = {}
    with opened(base) as side:
        for recipe in (each for each in QUANTIZE if each.source == form):
            try:
                report = quantize(base, recipe.name, side, tmp_path)
            except ModelError as error:
                printed.append(f"{recipe.name} {model}: refused. {error.message}")
                continue
            reports[report.precision] = report
            printed.append(line(f"{recipe.name} {model}", report))

    assert all(report.ratio > 1.1 for report in reports.values())
    assert all(report.outputs or report.reasons for report in reports.values())
    kind = kind_of(base.plain, base.format)
    assert kind is KINDS[model]
    advised = reports[advise(kind, base.format, calibrated=True).precision]
    assert advised.accepted, advised.reasons
    assert advised.metric is not None
    assert advised.metric.source > 0.6  # it has learned: chance is 0.1
    best = front(tuple(reports.values()))
    assert best[0].bytes == min(report.bytes for report in reports.values() if report.accepted)
    assert picture(advised) == picture(advised)
    assert scatter(list(reports.values())).startswith(b"<svg")
