# SPDX-License-Identifier: Apache-2.0
"""Compiles every Python file of a folder, so that an image starts fast from a root nobody can write to.

``python -I bytecode.py FOLDER PREFIX``, with ``PYTHONHASHSEED=0``. Law: the same sources give the same bytes. So the files
are "unchecked hash" ones (PEP 552: valid whatever the time of the source), marshalled in version 2, which has no references:
in later versions these depend on what else the interpreter holds. Tracebacks name files below ``PREFIX``. What does not
compile, such as test data of another Python, is left as it is.
"""

from __future__ import annotations

import importlib.util
import marshal
import os
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

_UNCHECKED: Final = 0b01
_REFERENCES_CAME_AFTER: Final = 2  # marshal's version


def compile_file(folder: Path, prefix: str, path: Path) -> None:
    """Writes the bytecode of ``path`` where Python looks for it."""
    source = path.read_bytes()
    shown = f"{prefix}/{path.relative_to(folder).as_posix()}"
    try:
        code = compile(source, shown, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return
    target = Path(importlib.util.cache_from_source(str(path)))
    target.parent.mkdir(exist_ok=True)
    head = importlib.util.MAGIC_NUMBER + _UNCHECKED.to_bytes(4, "little") + importlib.util.source_hash(source)
    target.write_bytes(head + marshal.dumps(code, _REFERENCES_CAME_AFTER))


def compile_all(folder: Path, prefix: str) -> None:
    """Compiles every ``.py`` below ``folder``, on all processors."""
    paths = sorted(path for path in folder.rglob("*.py") if path.is_file() and not path.is_symlink())
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(partial(compile_file, folder, prefix), paths, chunksize=64):
            pass


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    compile_all(Path(sys.argv[1]), sys.argv[2])
