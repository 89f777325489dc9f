# SPDX-License-Identifier: Apache-2.0
"""docs/conversion-matrix.md, from the cells that were measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from converters.catalogue import best_route, recipe_named
from core.errors import FuroshikiError
from tests.integration.converters.cells import (
    ANY_LENGTH,
    LOGISTIC,
    NOT_EXPRESSED,
    PAIRS,
    ROUTES,
    SOURCE_FORMATS,
    TARGETS,
)
from tests.integration.converters.measurements import Cell, QuantizationCell, RouteCell
from tests.integration.converters.models import MODELS
from tests.integration.converters.quantized import QUANTIZED

PAGE: Final = Path(__file__).resolve().parents[3] / "docs" / "conversion-matrix.md"
TITLES: Final = {**MODELS, ANY_LENGTH: "all-MiniLM-L6-v2, any length", LOGISTIC: "logistic regression"}

_INTRODUCTION: Final = """# Conversion matrix

Every route of the catalogue with every model that its source format can express, and every quantization of every model.
`make matrix` measures all of it again and writes this page; the numbers lie in
`tests/integration/converters/results/matrix.jsonl`. `make test` runs a part of the cells, and checks that the page has all.

**Models.** The CNN, the MLP, the transformer encoder and MobileNetV2 are trained, for seconds, on rows 0 to 1,199 of
scikit-learn's digits: as images of 8 by 8, as 64 numbers, as 16 tokens, and enlarged to 64 by 64 colour pixels. They show
that answers survive, not what such models can do. In PyTorch and flax the weights are the same; Keras and scikit-learn train
their own. all-MiniLM-L6-v2 is the published one, with sentences of 32 tokens; "any length" is the same with that dimension
free.

**Accuracy** is that of source and result on the last 256 rows of digits, which nothing was trained or calibrated on. For
quantized MiniLM it is the share of 40 sentences whose nearest other one is on the same topic; calibrated on other sentences.

**Measured** as reports are: the result is loaded and run beside its source on held-out rows and 32 random ones, at batch 1
and 8 ([Quantize a model](how-to/quantize-a-model.md)). Each route ran whole: signed bundle, child process, sandbox, parity
gate. Seconds are those of the route's converters, without the start of the child and the comparison; of a refusal, of
everything. Peak RSS is of the child, which also compares. Batch "any" means that the result takes any number of rows, as its
source does; numbers are the sizes that it has a signature for, among which its runner chooses.
"""
_ROUTE_HEAD: Final = (
    "| model | max error | cosine | batch | accuracy | seconds | peak RSS |",
    "| --- | --- | --- | --- | --- | --- | --- |",
)
_QUANTIZATION_HEAD: Final = (
    "| model | times smaller | cosine | agreement | accuracy | latency at 1, 8 | verdict |",
    "| --- | --- | --- | --- | --- | --- | --- |",
)


def page(cells: Mapping[tuple[str, ...], Cell]) -> str:
    """The whole page.

    Args:
        cells: By their keys; one that is missing is said to be.
    """
    lines = [_INTRODUCTION, *_machine(cells.values()), "", "## Routes", ""]
    for source, target in PAIRS:
        lines += _route(source, target, cells)
    lines += ["## Pairs without a route", "", *_refused(), "", "## Quantizations", "", _QUANTIZATIONS, ""]
    for recipe in dict.fromkeys(name for name, _ in QUANTIZED):
        lines += _quantization(recipe, cells)
    return "\n".join(lines).rstrip() + "\n"


_QUANTIZATIONS: Final = """Compared with fp32 of the same format; what TFLiteConverter makes of a SavedModel with the fp32
TFLite model of the same SavedModel. Latency is a share of that of fp32, measured in turns on one thread: below 1 is faster.
Agreement is that of the top class. A rejected result is kept as a report and never served."""


def _machine(cells: Iterable[Cell]) -> list[str]:
    found = list(cells)
    if not found:
        return ["Nothing is measured yet."]
    days, machines = sorted({cell.day for cell in found}), sorted({cell.machine for cell in found})
    loads = sorted(cell.load for cell in found)
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    load = f"{loads[0]} to {loads[-1]}, in the median {loads[len(loads) // 2]}"
    return [
        f"**Where and when.** {when}; {'; '.join(machines)}.",
        f"The load average when a cell began was {load}: where that is more than the",
        "machine's cores, it had other work, and seconds are longer than on an idle one. Latencies are ratios of times taken",
        "in turns. Converters use as many threads as they like; TFLite, ONNX and torch are timed on one.",
    ]


def _route(source: str, target: str, cells: Mapping[tuple[str, ...], Cell]) -> list[str]:
    names = best_route(source, target).names
    lines = [f"### {source} to {target}", "", f"By {', '.join(f'`{name}`' for name in names)}.", "", *_ROUTE_HEAD]
    for model in (model for *pair, model in ROUTES if pair == [source, target]):
        cell = cells.get(("route", source, target, model))
        lines.append(
            f"| {TITLES[model]} | {_measured(cell) if isinstance(cell, RouteCell) else _across('not measured')} |"
        )
    lines += [_absent(source, model) for model in MODELS if (source, model) in NOT_EXPRESSED]
    return [*lines, ""]


def _absent(source: str, model: str) -> str:
    return f"| {TITLES[model]} | {_across(f'not applicable: {NOT_EXPRESSED[source, model]}')} |"


def _across(text: str) -> str:
    return f"{text} |" + " |" * 4


def _measured(cell: RouteCell) -> str:
    if cell.code:
        return _across(f"refused, `{cell.code}`: {_plain(cell.reason)}")
    free = cell.any_batch and best_route(cell.source, cell.target).dynamic_batch
    batch = "any" if free else ", ".join(map(str, cell.batches))
    verdict = "" if cell.accepted else f" rejected: {_plain(cell.reason)}"
    numbers = [f"{cell.max_abs:.1e}{verdict}", f"{cell.cosine:.6f}", batch, _pair(cell.accuracy)]
    return " | ".join([*numbers, f"{cell.seconds:.1f}", f"{cell.peak_bytes >> 20:,} MB"])


def _quantization(recipe: str, cells: Mapping[tuple[str, ...], Cell]) -> list[str]:
    source = recipe_named(recipe).source
    lines = [f"### {recipe}", "", *_QUANTIZATION_HEAD]
    for model in MODELS:
        if (source, model) in NOT_EXPRESSED:
            lines.append(_absent(source, model))
            continue
        cell = cells.get(("quantization", recipe, model))
        lines.append(
            f"| {TITLES[model]} | {_judged(cell) if isinstance(cell, QuantizationCell) else _across('not measured')} |"
        )
    return [*lines, ""]


def _judged(cell: QuantizationCell) -> str:
    if cell.code:
        return _across(f"refused, `{cell.code}`: {_plain(cell.reason)}")
    agreement = "no classes" if cell.agreement is None else f"{cell.agreement:.3f}"
    latency = ", ".join(f"{share:.2f}" for _, share in cell.latency)
    verdict = "accepted" if cell.accepted else f"rejected: {_plain(cell.reason)}"
    return " | ".join([f"{cell.ratio:.2f}", f"{cell.cosine:.5f}", agreement, _pair(cell.accuracy), latency, verdict])


def _pair(found: Sequence[float] | None) -> str:
    return "no labels" if found is None else f"{found[0]:.3f} → {found[1]:.3f}"


def _plain(text: str) -> str:
    """Text of a library within a cell of a table."""
    return " ".join(text.replace("|", "/").split())


def _refused() -> list[str]:
    lines = [
        "Refused before anything is started, with this reason:",
        "",
        "| from | to | reason |",
        "| --- | --- | --- |",
    ]
    lines += [
        f"| {source} | {target} | {reason(source, target)} |"
        for source in SOURCE_FORMATS
        for target in TARGETS
        if source != target and (source, target) not in PAIRS
    ]
    return lines


def reason(source: str, target: str) -> str:
    """Why nothing leads from one format to another, in the words of the refusal."""
    try:
        best_route(source, target)
    except FuroshikiError as error:
        return f"`{error.code}` {error.message}"
    raise AssertionError(f"{source} to {target} has a route")
