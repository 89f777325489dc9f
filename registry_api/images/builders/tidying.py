# SPDX-License-Identifier: Apache-2.0
"""Removes from a folder that pip installed into what depends on where pip ran. Standard library only: images run it too.

pip's scripts name the interpreter, ``direct_url.json`` names a folder; ``INSTALLER`` and ``REQUESTED`` depend on how pip was
called. ``RECORD`` keeps what is still there, sorted. Afterwards the folder depends on the wheels alone.
"""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path
from typing import Final

_OF_THIS_RUN: Final = ("direct_url.json", "REQUESTED", "INSTALLER")


def tidy(folder: Path) -> None:
    """Makes the folder depend on the wheels alone."""
    shutil.rmtree(folder / "bin", ignore_errors=True)
    for cached in list(folder.rglob("__pycache__")):
        shutil.rmtree(cached)
    for record in folder.glob("*.dist-info/RECORD"):
        for name in _OF_THIS_RUN:
            (record.parent / name).unlink(missing_ok=True)
        record.write_text(_still_there(record.read_text(), folder))


def _still_there(record: str, folder: Path) -> str:
    kept = io.StringIO()
    lines = [line for line in csv.reader(io.StringIO(record)) if line and (folder / line[0]).is_file()]
    csv.writer(kept, lineterminator="\n").writerows(sorted(lines))
    return kept.getvalue()
