# SPDX-License-Identifier: Apache-2.0
"""What the matrix measured: one JSON line per cell, so that a run that was interrupted goes on where it stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

FILE: Final = Path(__file__).parent / "results" / "matrix.jsonl"


class _Cell(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    model: str
    day: str  # of the measurement, ISO 8601
    machine: str = ""
    load: float  # of the machine when it began, averaged over a minute


class RouteCell(_Cell, frozen=True, kw_only=True, tag="route"):
    """One model converted from one format to another, whole: signed bundle, child process, sandbox, parity gate."""

    source: str
    target: str
    code: str = ""  # of the refusal; empty: converted
    reason: str = ""  # of the refusal, or why it was rejected
    route: tuple[str, ...] = ()
    accepted: bool = False
    max_abs: float = 0.0
    cosine: float = 0.0
    batches: tuple[int, ...] = ()  # rows of the executions that were compared
    any_batch: bool = False  # the result takes any number of rows
    accuracy: tuple[float, float] | None = None  # of source and result on held-out rows; None: no labels
    seconds: float = 0.0  # of the conversion's steps, or until it was refused
    peak_bytes: int = 0  # resident

    @property
    def key(self) -> tuple[str, ...]:
        """Which cell it is."""
        return ("route", self.source, self.target, self.model)


class QuantizationCell(_Cell, frozen=True, kw_only=True, tag="quantization"):
    """One quantization of one model, compared with the fp32 model of the same format on held-out rows."""

    recipe: str
    code: str = ""  # of the refusal; empty: made
    reason: str = ""  # of the refusal, or why it was rejected
    accepted: bool = False
    ratio: float = 0.0  # times smaller
    cosine: float = 0.0
    agreement: float | None = None
    accuracy: tuple[float, float] | None = None  # of fp32 and result
    latency: tuple[tuple[int, float], ...] = ()  # rows, and the share of the time of fp32

    @property
    def key(self) -> tuple[str, ...]:
        """Which cell it is."""
        return ("quantization", self.recipe, self.model)


Cell = RouteCell | QuantizationCell


def read(file: Path) -> dict[tuple[str, ...], Cell]:
    """The cells of a file, the last of each; none if there is no file."""
    if not file.is_file():
        return {}
    decode = msgspec.json.Decoder(Cell).decode
    return {cell.key: cell for cell in map(decode, file.read_bytes().splitlines())}


def append(file: Path, cell: Cell) -> None:
    """Adds a cell."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as out:
        out.write(msgspec.json.encode(cell) + b"\n")
