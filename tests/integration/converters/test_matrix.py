# SPDX-License-Identifier: Apache-2.0
"""Every route of the catalogue on small models: parity, dynamic batch, seconds, peak memory. Prints the matrix.

A pair of formats is in the matrix with its measurement, or with the reason why nothing leads there. Whole conversions run as
the registry runs them: a signed bundle, a child process, a sandbox, the parity gate.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import pytest

from artifacts.formats import FORMATS
from converters.catalogue import best_route
from converters.recipes.catalogue import RECIPES
from converters.reproduce import NAME
from converters.spec import Candidate
from converters.testing import Source, convert
from core.errors import FuroshikiError
from tests.integration.converters.models import SOURCES

CELLS: Final = (
    ("torch_export", "digits", "onnx"),
    ("torch_export", "transformer", "tflite"),
    ("torchscript", "digits", "onnx"),
    ("torchscript", "digits", "tflite"),
    ("factory(torch)", "mlp", "onnx"),
    ("factory(torch)", "digits", "tflite"),
    ("factory(torch)", "transformer", "torch_export"),
    ("keras", "digits", "tflite"),
    ("keras", "mobilenet", "tflite"),
    ("keras", "transformer", "onnx"),
    ("keras", "digits", "saved_model"),
    ("saved_model", "transformer", "tflite"),
    ("saved_model", "digits", "onnx"),
    ("factory(keras)", "mlp", "onnx"),
    ("factory(keras)", "mlp", "tflite"),
    ("factory(keras)", "mlp", "saved_model"),
    ("factory(flax)", "mlp", "onnx"),
    ("factory(flax)", "mlp", "tflite"),
    ("jax_export", "mlp", "tflite"),
    ("factory(sklearn)", "digits", "onnx"),
    ("onnx", "mlp", "tflite"),
)
MOST_ERROR: Final = 1e-4  # of values of the order of 10

_measured: dict[tuple[str, str, str], Candidate] = {}
_sources: dict[tuple[str, str], Source] = {}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("source", "model", "target"), CELLS, ids=["-".join(cell) for cell in CELLS])
def test_route_keeps_what_the_model_computes(tmp_path: Path, source: str, model: str, target: str) -> None:
    """The plain conversion agrees with its source at batch 1 and more, and keeps a batch of any size if the route says so."""
    made = _sources.setdefault((source, model), SOURCES[source](model))
    outcome = convert(made, f"{target}-fp32/cpu", tmp_path)
    assert outcome.answer is not None, (outcome.code, outcome.message, outcome.stderr[-3000:])
    (found,) = outcome.answer.candidates
    assert found.accepted, found.reasons
    assert found.report.max_abs < MOST_ERROR
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
    _measured[(source, model, target)] = found


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_onnx2tf_breaks_is_refused(tmp_path: Path) -> None:
    """onnx2tf ends with 0 and a scatter beyond its tensor for this attention: the result is run and refused."""
    outcome = convert(SOURCES["onnx"]("transformer"), "tflite-fp32/cpu", tmp_path)
    assert (outcome.status, outcome.code) == (3, "MODEL_003")
    assert "TFLite cannot run what onnx2tf made" in outcome.message
    assert list(outcome.output.iterdir()) == []


@pytest.mark.slow
def test_matrix_has_no_hole(capsys: pytest.CaptureFixture[str]) -> None:
    """Each pair of a source and a format that runners load was measured above, or is refused up front with the reason."""
    lines = [f"{'ROUTE':<58} {'MODEL':<12} {'MAX ERROR':>9} {'COSINE':>9} {'BATCH':>6} {'SECONDS':>8} {'PEAK RSS':>9}"]
    lines += [_line(cell, found) for cell, found in _measured.items()]
    targets = [form.name for form in FORMATS.values() if form.executable]
    measured = {(source, target) for source, _, target in CELLS}
    for source in dict.fromkeys([recipe.source for recipe in RECIPES]):
        for target in targets:
            if target == source or (source, target) in measured:
                continue
            with pytest.raises(FuroshikiError) as caught:
                best_route(source, target)
            assert caught.value.message.startswith(f"No route leads from {source} to {target}. ")
            lines.append(f"{source} > {target}: refused. {caught.value.message}")
    with capsys.disabled():
        print("\n" + "\n".join(lines))


def _line(cell: tuple[str, str, str], found: Candidate) -> str:
    source, model, target = cell
    report = found.report
    batch = "any" if found.signature.signature().batched else "fixed"
    return (
        f"{f'{source} > {target}: ' + ' > '.join(found.route):<58.58} {model:<12} {report.max_abs:>9.1e} "
        f"{report.cosine:>9.6f} {batch:>6} {found.seconds:>8.1f} {found.peak_bytes >> 20:>6} MB"
    )
