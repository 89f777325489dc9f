# SPDX-License-Identifier: Apache-2.0
"""Every quantization of every model: made by its recipe, loaded, compared with fp32 of the same format on held-out rows.

What TFLiteConverter makes of a SavedModel is compared with the fp32 TFLite model that it makes of the same one, so that sizes
and times mean the same in every row. Nothing here is sandboxed: the models are our own.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from converters.calibration import open_calibration
from converters.catalogue import recipe_named
from converters.interface import ConvertOptions
from converters.parity.compare import Side
from converters.parity.execution import open_model, size_of
from converters.parity.gate import data_for, judge
from converters.parity.interface import LoadedModel
from converters.parity.report import Report
from converters.parity.running import run_rows
from converters.parity.thresholds import thresholds_for
from converters.quantization.catalogue import QUANTIZE
from converters.testing import Source
from core.errors import FuroshikiError
from core.tensors import Array
from deploy.local.sentences import SENTENCES, neighbours_agree
from tests.integration.converters.cells import NOT_EXPRESSED, machine, source_of, today
from tests.integration.converters.data import calibration_rows, sentence_tokens, write_calibration
from tests.integration.converters.measurements import QuantizationCell
from tests.integration.converters.models import MODELS, rows

QUANTIZED: Final = tuple(
    (recipe.name, model) for recipe in QUANTIZE for model in MODELS if (recipe.source, model) not in NOT_EXPRESSED
)
"""Recipe and model of every cell of the second matrix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A model to quantize, on disk, and what it is compared with."""

    name: str
    folder: Path  # that the recipe reads
    format: str  # of the fp32 model to compare with
    plain: Path  # that model
    calibration: Path
    held_out: Path


def base_of(form: str, model: str, root: Path) -> Base:
    """Lays a model of a format out in an empty folder.

    Args:
        form: Format that a quantization reads.
        model: Of :data:`tests.integration.converters.models.MODELS`.
        root: The folder.
    """
    if form == "tflite":
        origin = (
            ("torch_export", "torch_export_to_tflite")
            if model == "minilm"
            else ("saved_model", "saved_model_to_tflite")
        )
        source, plain = source_of(origin[0], model), root / "plain"
        taken(origin[1], written(source, root / "origin"), plain, ConvertOptions(signature=source.signature))
        folder = plain
    else:
        source = source_of(form, model)
        folder = plain = written(source, root / "origin")
        if form == "saved_model":
            plain = root / "plain"
            taken("saved_model_to_tflite", folder, plain, ConvertOptions(signature=source.signature))
    compared = "onnx" if form == "onnx" else "tflite"
    opened = open_model(plain, compared)
    dtypes = {spec.name: spec.dtype.numpy for spec in opened.signature.inputs}
    opened.close()
    calibration, held_out = (
        write_calibration(root / name, {key: array.astype(dtypes.get(key, array.dtype)) for key, array in part.items()})
        for name, part in zip(("calibration", "held_out"), calibration_rows(model, rows(source, model)), strict=True)
    )
    return Base(name=model, folder=folder, format=compared, plain=plain, calibration=calibration, held_out=held_out)


def written(source: Source, folder: Path) -> Path:
    """Writes a model's files; the folder."""
    for name, data in source.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def taken(recipe: str, source: Path, target: Path, options: ConvertOptions) -> None:
    """Takes one step of the catalogue; ``target`` must not exist."""
    target.mkdir()
    recipe_named(recipe).convert(source, target, options)


@contextmanager
def opened(base: Base) -> Iterator[Side]:
    """The fp32 model, loaded."""
    model = open_model(base.plain, base.format)
    try:
        yield Side(variant=f"{base.format}-fp32/cpu", model=model, bytes=size_of(base.plain))
    finally:
        model.close()


def quantize(base: Base, name: str, side: Side, place: Path) -> Report:
    """Takes one quantization and judges what came of it; ``place`` is a folder.

    Raises:
        FuroshikiError: The recipe refused the model.
    """
    recipe, target, scratch = recipe_named(name), place / name, place / f"{name}_scratch"
    assert recipe.precision is not None
    scratch.mkdir()
    options = ConvertOptions(
        precision=recipe.precision, signature=side.model.signature, calibration=base.calibration, scratch=scratch
    )
    taken(name, base.folder, target, options)
    data = data_for(side.model, open_calibration(base.held_out, side.model.signature))
    variant = f"{base.format}-{recipe.precision}/cpu"
    return judge(side, target, variant, signature=None, data=data, thresholds=thresholds_for(recipe.precision))


def measure_quantization(recipe: str, model: str, place: Path) -> QuantizationCell:
    """One cell of the second matrix."""
    known: dict[str, Any] = {
        "model": model,
        "recipe": recipe,
        "day": today(),
        "machine": machine(),
        "load": round(os.getloadavg()[0], 1),
    }
    base = _kept(recipe_named(recipe).source, model)
    with opened(base) as side:
        try:
            report = quantize(base, recipe, side, place)
        except FuroshikiError as error:
            return QuantizationCell(**known, code=str(error.code), reason=error.message)
        accuracy = None if report.metric is None else (report.metric.source, report.metric.value)
        if model == "minilm":
            candidate = open_model(place / recipe, base.format)
            accuracy = (neighbours(side.model), neighbours(candidate))
            candidate.close()
    return QuantizationCell(
        **known,
        reason=" ".join(report.reasons),
        accepted=report.accepted,
        ratio=report.ratio,
        cosine=report.cosine,
        agreement=report.top1_agreement,
        accuracy=accuracy,
        latency=tuple((each.rows, each.ms / each.source_ms) for each in report.latency),
    )


@cache
def _kept(form: str, model: str) -> Base:
    """A model for all its quantizations, as long as this process lives: some take minutes to make."""
    folder = Path(tempfile.mkdtemp(prefix="matrix-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return base_of(form, model, folder)


def neighbours(model: LoadedModel) -> float:
    """The share of the demo's sentences whose nearest other one, by MiniLM's embeddings, has the same topic."""
    dtypes = {spec.name: spec.dtype.numpy for spec in model.signature.inputs}
    arrays: dict[str, Array] = {key: array.astype(dtypes[key]) for key, array in sentence_tokens(SENTENCES).items()}
    (found,) = run_rows(model, arrays, {name: name for name in arrays}, size=8).values()
    return neighbours_agree(found / np.linalg.norm(found, axis=1, keepdims=True))
