# SPDX-License-Identifier: Apache-2.0
"""What the demo prints on stdout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from rich import box
from rich.table import Table

from deploy.local.case import Case
from furoshiki import Build

_HEADINGS: Final = (
    "Bento",
    "sent",
    "score",
    "over HTTP",
    "in process",
    "max diff",
    "p50 ms",
    "p99 ms",
    "digest",
    "key id",
)
_MEASURES: Final = {
    "accuracy": "share of held-out rows with the right label",
    "same topic": "share of sentences whose nearest other one has their topic",
}
_COLUMNS: Final = (
    "max diff: largest absolute difference to the output in process, alone and batched; p50, p99: single requests."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One model after its last request."""

    case: Case
    build: Build
    score: float  # of the single requests over HTTP
    difference: float  # largest absolute one to the outputs in process
    milliseconds: Sequence[float]  # of each single request
    digest: str  # verified digest the service reported, "sha256:<hex>"


def table(served: Sequence[Served]) -> Table:
    """One row per model."""
    measures = dict.fromkeys(one.case.measure for one in served)
    caption = "; ".join(f"{measure}: {_MEASURES[measure]}" for measure in measures)
    result = Table(
        title="The same inputs over HTTP and in process", caption=f"{caption}.\n{_COLUMNS}", box=box.SIMPLE_HEAD
    )
    result.show_edge, result.collapse_padding, result.pad_edge = False, True, False
    for heading in _HEADINGS:
        result.add_column(heading, overflow="fold", no_wrap=heading == "Bento")
    for one in served:
        result.add_row(*_cells(one))
    return result


def _cells(one: Served) -> list[str]:
    case = one.case
    return [
        one.build.tag or "",
        f"{len(case.expected)} {case.unit}",
        case.measure,
        f"{one.score:.4f}",
        f"{case.score(case.expected):.4f}",
        f"{one.difference:.1e}" if one.difference else "0",
        f"{np.percentile(one.milliseconds, 50):.2f}",
        f"{np.percentile(one.milliseconds, 99):.2f}",
        one.digest.removeprefix("sha256:")[:12],
        (one.build.key_id or "")[:12],
    ]
