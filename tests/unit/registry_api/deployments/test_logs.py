# SPDX-License-Identifier: Apache-2.0
"""A deployment's log: bounded, and readable from any offset it still has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from registry_api.deployments import supervisor
from registry_api.deployments.logs import LogPart, last_lines, read_log
from registry_api.deployments.supervisor import SegmentedLog

SEGMENT, KEPT = 10, 3


@given(st.lists(st.binary(max_size=25), max_size=12), st.integers(0, 200), st.integers(0, 60))
def test_a_log_reads_back_from_any_offset_it_still_has(pieces: list[bytes], offset: int, limit: int) -> None:
    """What is read is what was written there, from the first byte still kept; the folder stays within its bound."""
    with TemporaryDirectory() as name:
        folder, said = Path(name), b"".join(pieces)
        log = SegmentedLog(folder, segment_bytes=SEGMENT, kept=KEPT)
        for piece in pieces:
            log.write(piece)
        log.close()
        assert sum(path.stat().st_size for path in folder.iterdir()) <= SEGMENT * KEPT
        part = read_log(folder, offset=offset, limit=limit)
        assert part.size == len(said)
        assert part.data == said[part.start : part.start + limit]
        first = min((int(path.stem) for path in folder.iterdir()), default=0)
        assert part.start == min(max(offset, first), len(said))


def test_no_log_is_an_empty_log(tmp_path: Path) -> None:
    """Before the process wrote anything, or without its folder, there is nothing to read and no error."""
    assert read_log(tmp_path / "nothing", offset=5, limit=10) == LogPart(data=b"", start=0, size=0)
    assert last_lines(tmp_path / "nothing") == ""


def test_the_last_lines_are_the_last_lines(tmp_path: Path) -> None:
    """Only the end is shown, however long the log."""
    log = SegmentedLog(tmp_path)
    log.write(b"".join(b"line %d\n" % number for number in range(10_000)))
    log.close()
    assert last_lines(tmp_path, 2) == "line 9998\nline 9999"


def test_the_supervisor_keeps_both_outputs_and_the_exit_status(tmp_path: Path) -> None:
    """stdout and stderr of the command are in the log, and its status becomes the supervisor's."""
    code = "import sys; print('out', flush=True); print('err', file=sys.stderr, flush=True); sys.exit(7)"
    ended = subprocess.run(
        [sys.executable, "-I", str(Path(supervisor.__file__)), str(tmp_path), "--", sys.executable, "-c", code],
        check=False,
    )
    assert ended.returncode == 7
    assert read_log(tmp_path, offset=0, limit=100).data == b"out\nerr\n"


def test_the_supervisor_passes_sigterm_on(tmp_path: Path) -> None:
    """The command gets the signal, may end in its own way, and the supervisor ends with it."""
    code = (
        "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(5));"
        "print('ready', flush=True); signal.pause()"
    )
    child = subprocess.Popen(
        [sys.executable, "-I", str(Path(supervisor.__file__)), str(tmp_path), "--", sys.executable, "-c", code]
    )
    try:
        while not read_log(tmp_path, offset=0, limit=100).data:
            assert child.poll() is None
        child.terminate()
        assert child.wait(timeout=30) == 5
    finally:
        child.kill()
        child.wait()
