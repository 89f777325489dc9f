# SPDX-License-Identifier: Apache-2.0
"""Small distributions that offer plugins, laid out as an installer lays them out."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def lay_out(folder: Path, *, group: str, module: str, code: str) -> None:
    """Writes ``<module>.py``, whose ``Plugin`` is offered in ``group``, and what an installer would write beside it."""
    (folder / f"{module}.py").write_text(textwrap.dedent(code))
    about = folder / f"{module}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{group}]\n{module} = {module}:Plugin\n")


@contextmanager
def installed(folder: Path, *, group: str, module: str, code: str) -> Iterator[None]:
    """The same, found by this process until the block ends."""
    lay_out(folder, group=group, module=module, code=code)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop(module, None)
