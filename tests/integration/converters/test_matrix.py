# SPDX-License-Identifier: Apache-2.0
"""Every pair of formats that a route connects, with one model each, and the committed page, which has them all.

The whole matrix is measured by ``make matrix``. Conversions run as the registry runs them: a signed bundle, a child process,
a sandbox, the parity gate.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import pytest

from converters.catalogue import best_route
from converters.reproduce import NAME
from converters.spec import Candidate
from converters.testing import Outcome
from core.errors import FuroshikiError
from tests.integration.converters.cells import (
    ANY_LENGTH,
    NOT_EXPRESSED,
    PAIRS,
    ROUTES,
    SOURCE_FORMATS,
    TARGETS,
    convert_cell,
    source_of,
)
from tests.integration.converters.measurements import FILE, QuantizationCell, RouteCell, read
from tests.integration.converters.models import MODELS
from tests.integration.converters.page import PAGE, page
from tests.integration.converters.quantized import QUANTIZED

CELLS: Final = (
    ("torch_export", "onnx", "transformer"),
    ("torch_export", "tflite", "transformer"),
    ("torchscript", "onnx", "digits"),
    ("torchscript", "tflite", "digits"),
    ("factory(torch)", "onnx", "mlp"),
    ("factory(torch)", "tflite", "digits"),
    ("factory(torch)", "torch_export", "transformer"),
    ("keras", "onnx", "transformer"),
    ("keras", "tflite", "digits"),
    ("keras", "saved_model", "mlp"),
    ("factory(keras)", "onnx", "mlp"),
    ("factory(keras)", "tflite", "mlp"),
    ("factory(keras)", "saved_model", "digits"),
    ("saved_model", "onnx", "digits"),
    ("saved_model", "tflite", "transformer"),
    ("factory(flax)", "onnx", "transformer"),
    ("factory(flax)", "tflite", "mlp"),
    ("jax_export", "tflite", "mlp"),
    ("factory(sklearn)", "onnx", "logistic"),
    ("onnx", "tflite", "mlp"),
)
MOST_ERROR: Final = 1e-4  # of values of the order of 10


def only(outcome: Outcome) -> Candidate:
    """The one result of a conversion."""
    assert outcome.answer is not None, (outcome.code, outcome.message, outcome.stderr[-3000:])
    (found,) = outcome.answer.candidates
    return found


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("source", "target", "model"), CELLS, ids=["-".join(cell) for cell in CELLS])
def test_route_keeps_what_the_model_computes(tmp_path: Path, source: str, target: str, model: str) -> None:
    """The plain conversion agrees with its source at batch 1 and more, and keeps a batch of any size if the route says so."""
    outcome = convert_cell(source, target, model, tmp_path)
    found, made = only(outcome), source_of(source, model)
    assert found.accepted, found.reasons
    assert found.report.max_abs < MOST_ERROR
    assert found.report.metric is not None
    assert found.report.metric.source > 0.6  # it has learned: chance is 0.1
    assert made.signature is not None
    assert [each.name for each in found.signature.inputs] == [each.name for each in made.signature.inputs]
    if best_route(source, target).dynamic_batch:
        assert found.signature.signature().batched
    if found.signature.signature().batched:
        assert len(found.report.inputs.batches) > 1
    document = msgspec.json.decode((outcome.output / f"{target}-fp32_cpu" / NAME).read_bytes())
    assert document["route"] == list(found.route)
    assert str(tmp_path) not in (outcome.output / f"{target}-fp32_cpu" / NAME).read_text()
    assert [path.name for path in outcome.output.iterdir()] == [f"{target}-fp32_cpu"]
    assert outcome.stages[-1]["done"] == 1.0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_minilm_becomes_a_quarter_in_dynamic_int8(tmp_path: Path) -> None:
    """A real model of 90 MB, from PyTorch to ONNX with int8 weights, is accepted."""
    found = only(convert_cell("torch_export", "onnx", "minilm", tmp_path, precision="int8dyn"))
    assert found.accepted, found.reasons
    assert found.route == ("torch_export_to_onnx", "onnx_to_int8dyn")
    assert found.report.ratio > 3.5
    assert found.report.cosine > 0.98


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_free_length_is_refused_by_tflite(tmp_path: Path) -> None:
    """What a runtime cannot have is told in words: TFLite's signatures have one length."""
    outcome = convert_cell("torch_export", "tflite", ANY_LENGTH, tmp_path)
    assert (outcome.status, outcome.code) == (3, "MODEL_003")
    assert "has a free dimension besides the batch; TFLite needs it fixed" in outcome.message
    assert list(outcome.output.iterdir()) == []


def test_every_pair_is_tried_or_refused_up_front() -> None:
    """A pair of a source and a format that runners load is converted above, or refused with the reason before any work."""
    assert {(source, target) for source, target, _ in CELLS} == set(PAIRS)
    for source in SOURCE_FORMATS:
        for target in TARGETS:
            if source != target and (source, target) not in PAIRS:
                with pytest.raises(FuroshikiError) as caught:
                    best_route(source, target)
                assert caught.value.message.startswith(f"No route leads from {source} to {target}. ")


def test_the_matrix_has_no_hole(capsys: pytest.CaptureFixture[str]) -> None:
    """Every model is measured on every route and in every quantization, or it is known why not; the page says it all."""
    cells = read(FILE)
    for pair in PAIRS:
        assert all((*pair, model) in ROUTES or (pair[0], model) in NOT_EXPRESSED for model in MODELS)
    wanted = {*(("route", *cell) for cell in ROUTES), *(("quantization", *cell) for cell in QUANTIZED)}
    assert set(cells) == wanted
    for cell in cells.values():
        assert not cell.code or (cell.code == "MODEL_003" and cell.reason)
        assert cell.code or cell.accepted or cell.reason
        if isinstance(cell, RouteCell) and not cell.code:
            assert cell.accepted
            assert cell.peak_bytes > 0
        if isinstance(cell, QuantizationCell) and not cell.code:
            assert cell.ratio > 1
    text = page(cells)
    assert _tables(PAGE.read_text()) == _tables(text)
    with capsys.disabled():
        print("\n" + "\n".join(_tables(text)))


def _tables(text: str) -> list[str]:
    """What does not name the machine."""
    return [line for line in text.splitlines() if line.startswith(("|", "#"))]
