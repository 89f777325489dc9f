# SPDX-License-Identifier: Apache-2.0
"""A pod's log on disk: bounded, read as any other log, whole after a worker was killed."""

from __future__ import annotations

from pathlib import Path

from registry_api.deployments.clusters.lines import BEGINNING, Place
from registry_api.deployments.clusters.podlog import held
from registry_api.deployments.logs import read_log


def add(folder: Path, lines: bytes, place: Place = BEGINNING) -> None:
    with held(folder, segment_bytes=10, kept=2) as log:
        assert log is not None
        log.add(lines, place, restarts=0)


def test_it_is_read_as_the_log_of_a_process(tmp_path: Path) -> None:
    """Offsets count all bytes ever written; the oldest segments go."""
    for _ in range(5):
        add(tmp_path, b"1234567\n")

    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["000000000020.log", "000000000030.log"]
    part = read_log(tmp_path / "logs", offset=0, limit=100)
    assert (part.start, part.size, part.data) == (20, 40, b"567\n1234567\n1234567\n")


def test_what_a_killed_worker_wrote_is_cut_off(tmp_path: Path) -> None:
    """Bytes of which it did not come to say that they are there, in this segment and a further one."""
    add(tmp_path, b"1234567\n", Place(moment=5, lines=1))
    (tmp_path / "logs" / "000000000000.log").write_bytes(b"1234567\nab")
    (tmp_path / "logs" / "000000000010.log").write_bytes(b"cd")
    with held(tmp_path, segment_bytes=10, kept=2) as log:
        assert log is not None
        assert log.progress.place == Place(moment=5, lines=1)

    assert read_log(tmp_path / "logs", offset=0, limit=100).data == b"1234567\n"


def test_of_two_workers_one_writes(tmp_path: Path) -> None:
    """The other one has nothing to hold until the first has ended."""
    with held(tmp_path) as first, held(tmp_path) as second:
        assert (first is None, second is None) == (False, True)
    with held(tmp_path) as third:
        assert third is not None


def test_a_file_that_was_not_written_whole_is_a_new_beginning(tmp_path: Path) -> None:
    """The log is read from its beginning again, and is there once."""
    add(tmp_path, b"1234567\n", Place(moment=5, lines=1))
    (tmp_path / "read.json").write_text("{")
    with held(tmp_path) as log:
        assert log is not None
        assert log.progress.place == BEGINNING

    assert read_log(tmp_path / "logs", offset=0, limit=100).size == 0
