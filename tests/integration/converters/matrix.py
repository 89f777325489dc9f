# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.integration.converters.matrix``: measures every cell of the matrix and writes docs/conversion-matrix.md.

A cell that is in the file of results already is not measured again; ``--fresh`` starts over. It takes about half an hour on
two idle cores, most of it in converters. ``make matrix`` runs it whole; ``make test`` runs a part of the cells and checks
that the page has all of them.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.integration.converters.cells import ROUTES, measure_route
from tests.integration.converters.measurements import FILE, Cell, append, read
from tests.integration.converters.page import PAGE, page
from tests.integration.converters.quantized import QUANTIZED, measure_quantization

Measure = Callable[[Path], Cell]
_ENVIRONMENT: Final = {"TF_CPP_MIN_LOG_LEVEL": "3", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def main() -> int:
    """Measures and writes; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.integration.converters.matrix", description=__doc__)
    parser.add_argument("--only", default="", help="cells whose name has this text, such as 'route onnx' or 'minilm'")
    parser.add_argument("--fresh", action="store_true", help="measure the chosen cells again")
    parser.add_argument("--list", action="store_true", help="print the names of the chosen cells and measure none")
    given = parser.parse_args()
    os.environ.update(_ENVIRONMENT)
    known = read(FILE)
    for key, measure in _cells():
        name = " ".join(key)
        if given.only not in name:
            continue
        if given.list:
            print(name)
        elif given.fresh or key not in known:
            with TemporaryDirectory(prefix="matrix-") as folder:
                cell = measure(Path(folder))
            append(FILE, cell)
            print(name, "|", cell.code or ("accepted" if cell.accepted else "rejected"), cell.reason, flush=True)
    if not given.list:
        PAGE.write_text(page(read(FILE)))
    return 0


def _cells() -> Iterator[tuple[tuple[str, ...], Measure]]:
    """Every cell: its key, and what measures it in an empty folder."""
    for source, target, model in ROUTES:
        yield ("route", source, target, model), partial(measure_route, source, target, model)
    for recipe, model in QUANTIZED:
        yield ("quantization", recipe, model), partial(measure_quantization, recipe, model)


if __name__ == "__main__":
    sys.exit(main())
