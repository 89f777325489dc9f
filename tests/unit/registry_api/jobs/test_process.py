# SPDX-License-Identifier: Apache-2.0
"""Children of a job: real processes, ended as a whole."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from registry_api.jobs.process import (
    JOB_VARIABLE,
    LINE_BYTES,
    end_by_variable,
    find_by_variable,
    plain_environment,
    run_child,
)

STUBBORN = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("pids", os.getpid(), grandchild.pid, flush=True)
signal.pause()
"""


async def _run(code: str, log: list[str], job: str, tmp_path: Path) -> int:
    return await run_child(
        [sys.executable, "-c", code], job_id=job, env=plain_environment(), cwd=tmp_path, log=log.append
    )


async def test_output_and_status_of_a_child_are_reported(tmp_path: Path) -> None:
    """Lines of stdout and stderr arrive in order without newlines, and the exit status is returned."""
    lines: list[str] = []
    code = "import sys; print('one'); print('zwei ü', file=sys.stderr); print('three', end=''); sys.exit(7)"
    assert await _run(code, lines, uuid4().hex, tmp_path) == 7
    assert lines == ["one", "zwei ü", "three"]


async def test_a_line_without_end_is_cut(tmp_path: Path) -> None:
    """A child that never ends its line cannot fill memory: pieces of bounded size arrive."""
    lines: list[str] = []
    assert await _run("print('x' * 20_000)", lines, uuid4().hex, tmp_path) == 0
    assert "".join(lines) == "x" * 20_000
    assert max(map(len, lines)) <= LINE_BYTES


async def test_a_child_inherits_no_setting_and_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the plain variables and the job's name are in a child's environment."""
    monkeypatch.setenv("FUROSHIKI_DATABASE__URL", "postgresql://user:secret@db/registry")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    lines: list[str] = []
    job = uuid4().hex
    assert await _run("import os; [print(f'{k}={v}') for k, v in os.environ.items()]", lines, job, tmp_path) == 0
    assert f"{JOB_VARIABLE}={job}" in lines
    assert not [line for line in lines if "secret" in line or line.startswith("FUROSHIKI_DATABASE")]


async def test_cancelling_ends_the_child_and_its_children(tmp_path: Path) -> None:
    """A child that ignores SIGTERM and its own child are gone when the cancelled task ends."""
    lines: list[str] = []
    spoke = asyncio.Event()

    def log(line: str) -> None:
        lines.append(line)
        spoke.set()

    argv = [sys.executable, "-c", STUBBORN]
    task = asyncio.create_task(
        run_child(argv, job_id=uuid4().hex, env=plain_environment(), cwd=tmp_path, log=log, grace=0.05)
    )
    await spoke.wait()
    pids = [int(pid) for pid in lines[0].split()[1:]]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    _gone, alive = psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=10)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


async def test_what_a_killed_worker_left_is_found_by_name_and_ended(tmp_path: Path) -> None:
    """Processes that carry the job's name are found whoever started them, and ended; others stay."""
    job, other = uuid4().hex, uuid4().hex
    children = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "print(flush=True); import time; time.sleep(600)",
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, JOB_VARIABLE: name},
        )
        for name in (job, other)
    ]
    for child in children:
        assert child.stdout is not None
        await child.stdout.readline()
    try:
        assert [process.pid for process in find_by_variable(JOB_VARIABLE, job)] == [children[0].pid]
        assert await asyncio.to_thread(end_by_variable, JOB_VARIABLE, job) >= 1
        assert await children[0].wait() == -9
        assert [process.pid for process in find_by_variable(JOB_VARIABLE, other)] == [children[1].pid]
    finally:
        children[1].kill()
        await children[1].wait()
