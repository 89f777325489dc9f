# SPDX-License-Identifier: Apache-2.0
"""The cells of the matrix: every route of the catalogue and every quantization, with every model that can be expressed."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from artifacts.formats import FORMATS
from converters.catalogue import routes
from converters.recipes.catalogue import RECIPES
from converters.testing import Outcome, Source, convert
from tests.integration.converters.data import calibration_rows, write_calibration
from tests.integration.converters.measurements import RouteCell
from tests.integration.converters.models import MODELS, SOURCES, any_length, rows

SOURCE_FORMATS: Final = tuple(dict.fromkeys(recipe.source for recipe in RECIPES))
TARGETS: Final = tuple(form.name for form in FORMATS.values() if form.executable)
PAIRS: Final = tuple(
    (source, target) for source in SOURCE_FORMATS for target in TARGETS if source != target and routes(source, target)
)
"""Every source and target that a route of the catalogue connects."""

_NOT_TORCH: Final = "published for PyTorch only; a rewrite would be another model."
_NOT_SKLEARN: Final = "scikit-learn has no such layers."
NOT_EXPRESSED: Final[Mapping[tuple[str, str], str]] = {
    **{
        (source, "minilm"): _NOT_TORCH
        for source in ("keras", "saved_model", "factory(keras)", "jax_export", "factory(flax)")
    },
    **{("factory(sklearn)", model): _NOT_SKLEARN for model in ("digits", "transformer", "mobilenet", "minilm")},
}
"""Why a model has no form in a source format."""

ANY_LENGTH: Final = "minilm any length"
LOGISTIC: Final = "logistic"
EXTRA: Final = (
    ("torch_export", "onnx", ANY_LENGTH),
    ("torch_export", "tflite", ANY_LENGTH),
    ("factory(sklearn)", "onnx", LOGISTIC),
)
ROUTES: Final = (
    *((*pair, model) for pair in PAIRS for model in MODELS if (pair[0], model) not in NOT_EXPRESSED),
    *EXTRA,
)
"""Source, target and model of every cell of the first matrix."""

_sources: dict[tuple[str, str], Source] = {}


def source_of(form: str, model: str) -> Source:
    """A source, made once per process."""
    if (form, model) not in _sources:
        _sources[form, model] = any_length("minilm") if model == ANY_LENGTH else SOURCES[form](model)
    return _sources[form, model]


def convert_cell(source: str, target: str, model: str, place: Path, *, precision: str = "fp32") -> Outcome:
    """Converts as the registry does, and has it judged on held-out rows."""
    made = source_of(source, model)
    network = model.partition(" ")[0]
    _, held_out = calibration_rows(network, rows(made, network))
    folder = write_calibration(place / "held_out", held_out)
    return convert(made, f"{target}-{precision}/cpu", place, calibration=str(folder), budget_s=600.0)


def today() -> str:
    """The day, for a measurement's record."""
    return datetime.now(UTC).date().isoformat()


def machine() -> str:
    """What a measurement ran on, for its record."""
    found = Path("/proc/cpuinfo")
    lines = found.read_text().splitlines() if found.is_file() else []
    processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    kernel = platform.release().partition("-")[0]
    return (
        f"{processor or platform.machine()}, {os.cpu_count()} cores, {platform.system()} {kernel}, "
        f"Python {platform.python_version()}"
    )


def measure_route(source: str, target: str, model: str, place: Path) -> RouteCell:
    """One cell of the first matrix.

    Raises:
        AssertionError: It ended with neither a result nor a coded refusal.
    """
    source_of(source, model)
    load, started = os.getloadavg()[0], time.monotonic()
    outcome = convert_cell(source, target, model, place)
    seconds = time.monotonic() - started
    known: dict[str, Any] = {"source": source, "target": target, "model": model}
    known |= {"day": today(), "machine": machine(), "load": round(load, 1)}
    if outcome.answer is None:
        assert outcome.code, outcome.stderr[-3000:]
        assert "Traceback" not in outcome.message
        return RouteCell(**known, code=outcome.code, reason=outcome.message, seconds=round(seconds, 1))
    (found,) = outcome.answer.candidates
    report = found.report
    return RouteCell(
        **known,
        reason=" ".join(found.reasons),
        route=found.route,
        accepted=found.accepted,
        max_abs=report.max_abs,
        cosine=report.cosine,
        batches=report.inputs.batches,
        any_batch=found.signature.signature().batched,
        accuracy=None if report.metric is None else (report.metric.source, report.metric.value),
        seconds=found.seconds,
        peak_bytes=found.peak_bytes,
    )
