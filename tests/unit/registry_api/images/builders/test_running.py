# SPDX-License-Identifier: Apache-2.0
"""How builders run a tool."""

from __future__ import annotations

import sys
from pathlib import Path

from artifacts.stores.testing import refused
from core.errors import ErrorCode
from registry_api.images.builders.running import run


def test_both_streams_are_told_line_by_line(tmp_path: Path) -> None:
    """In the folder and with the variables that were asked for; what it printed is kept."""
    code = "import os, sys; print(os.getcwd(), flush=True); print(os.environ['WORD'], file=sys.stderr)"
    told: list[str] = []
    ended = run([sys.executable, "-c", code], what="python", cwd=tmp_path, env={"WORD": "word"}, tell=told.append)
    assert told == [str(tmp_path), "word"]
    assert ended.checked() == f"{tmp_path}\nword\n"


def test_a_failure_has_a_code_and_the_last_lines() -> None:
    """JOB_002 names the tool, its status and what it said."""
    ended = run([sys.executable, "-c", "import sys; sys.exit('no room')"], what="the tool")
    assert ended.status == 1
    with refused(ErrorCode.JOB_FAILED, "the tool ended with status 1", "no room"):
        ended.checked()
    with refused(ErrorCode.JOB_FAILED, "said nothing"):
        run([sys.executable, "-c", "import os; os._exit(2)"], what="the tool").checked()


def test_a_bento_in_the_working_folder_runs_nothing(tmp_path: Path) -> None:
    """``python -m pip`` is this installation's, whatever lies where it is started."""
    (tmp_path / "pip").mkdir()
    for path in ("pip/__init__.py", "pip/__main__.py", "subprocess.py", "typing.py"):
        (tmp_path / path).write_text("raise SystemExit('evil')")
    printed = run([sys.executable, "-m", "pip", "--version"], what="pip", cwd=tmp_path).checked()
    assert printed.startswith("pip ")
