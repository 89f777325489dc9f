# SPDX-License-Identifier: Apache-2.0
"""Bytecode that is the same wherever and whenever it is made, and that Python takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from registry_api.images.builders.bytecode import compile_all

_SOURCE = '"""Words."""\nNAMES = {"one", "two", "three", "four"}\nKNOWN = "x" in {"a", "b", "c", "d", "e"}\n'


def _compiled(folder: Path, prefix: str) -> dict[str, bytes]:
    folder.mkdir()
    (folder / "module.py").write_text(_SOURCE)
    (folder / "broken.py").write_text("print 'old'\n")
    compile_all(folder, prefix)
    return {path.name: path.read_bytes() for path in folder.rglob("*.pyc")}


def test_the_same_source_gives_the_same_bytes(tmp_path: Path) -> None:
    """Another folder and another time change nothing; what does not compile is left alone."""
    first, second = _compiled(tmp_path / "one", "/opt"), _compiled(tmp_path / "two", "/opt")
    assert first == second
    assert list(first) == ["module.cpython-311.pyc"]
    assert b"/opt/module.py" in first["module.cpython-311.pyc"]
    assert str(tmp_path).encode() not in first["module.cpython-311.pyc"]


def test_python_takes_it_whatever_the_time_of_the_source(tmp_path: Path) -> None:
    """The file is loaded, not compiled again, although the source is of another time."""
    folder = tmp_path / "lib"
    _compiled(folder, str(folder))
    os.utime(folder / "module.py", (0, 0))
    done = subprocess.run(
        [sys.executable, "-v", "-B", "-c", "import module; print(sorted(module.NAMES), module.KNOWN)"],
        cwd=folder,
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "['four', 'one', 'three', 'two'] False\n"
    assert f"matches {folder}/module.py" in done.stderr
