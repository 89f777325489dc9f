# SPDX-License-Identifier: Apache-2.0
"""Pushes in parts: over several connections, and on from where a killed client or registry ended. Plain and encrypted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from furoshiki import Client, Progress
from tests.integration.registry_api.process import RegistryProcess
from tests.integration.registry_api.rest import split_onnx

MIB = 1 << 20
SIZE = 24 * MIB  # of the large file: 24 parts

PUSH = """
import sys, pathlib
from furoshiki import Client
with Client(sys.argv[1], api_key=sys.argv[2]) as client:
    def tell(progress):
        if progress.phase == "upload":
            print(progress.done, flush=True)
    print(client.models.push("large", pathlib.Path(sys.argv[3]), progress=tell).ref, flush=True)
"""


@pytest.fixture(params=["off", "on"])
def process(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RegistryProcess]:
    settings = {"FUROSHIKI_STORE__ENCRYPTION": request.param, "FUROSHIKI_UPLOADS__PART_BYTES": str(MIB)}
    with RegistryProcess(tmp_path / "home", **settings) as running:
        yield running


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A model in two files and a large one beside it."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name, data in split_onnx("weights.bin").items():
        (folder / name).write_bytes(data)
    (folder / "large.bin").write_bytes(os.urandom(SIZE))
    return folder


def requests(process: RegistryProcess) -> list[str]:
    """The parts that the registry took, from its log."""
    return [line for line in process.log.splitlines() if '"method": "PUT"' in line or "method=PUT" in line]


def parts_on_disk(home: Path) -> int:
    return sum(1 for path in home.glob("blobs/tenants/*/parts/*/*") if path.suffix in {".placed", ".sealed"})


def first_part(home: Path) -> tuple[Path, int]:
    """The file that holds the bytes of a part, and where in it one of them is."""
    mark = next(path for path in home.glob("blobs/tenants/*/parts/*/*") if path.suffix in {".placed", ".sealed"})
    if mark.suffix == ".placed":
        return mark.with_name("whole"), int(mark.name.split("-")[0]) + MIB // 2
    return mark, mark.stat().st_size // 2


def push(process: RegistryProcess, source: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PUSH, process.url, process.admin_key, str(source)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def killed_midway(process: RegistryProcess, source: Path, kill: Any) -> subprocess.Popen[str]:
    """A push of which something was killed when a third had been sent."""
    pushing = push(process, source)
    assert pushing.stdout is not None
    for line in pushing.stdout:
        if int(line) > SIZE // 3:
            break
    kill(pushing)
    return pushing


def check(client: Client, source: Path, tmp_path: Path) -> None:
    bundle = client.versions.download("large", 1, tmp_path / "out")
    assert (bundle / "large.bin").read_bytes() == (source / "large.bin").read_bytes()


def test_a_killed_client_goes_on_with_the_next_push(process: RegistryProcess, source: Path, tmp_path: Path) -> None:
    """After kill -9 of the client, the same push sends only the parts that had not arrived, and leaves no part behind."""
    pushing = killed_midway(process, source, lambda child: child.send_signal(signal.SIGKILL))
    pushing.communicate(timeout=30)
    kept = parts_on_disk(process.home)
    assert 4 <= kept < 24
    told: list[Progress] = []
    before = len(requests(process))
    with Client(process.url, api_key=process.admin_key) as client:
        assert client.models.push("large", source, progress=told.append).ref == "default/large@1"
        check(client, source, tmp_path)
    uploads = [progress for progress in told if progress.phase == "upload"]
    assert uploads[0].done >= kept * MIB
    assert uploads[-1].done == uploads[-1].total
    # the parts that were missing, the joining request; the two small files may have arrived before
    assert len(requests(process)) - before <= 24 - kept + 1 + 2
    assert parts_on_disk(process.home) == 0


@pytest.mark.fault("kill -9 of the registry while models are pushed and promoted")
def test_a_killed_registry_is_not_noticed_by_the_client(process: RegistryProcess, source: Path, tmp_path: Path) -> None:
    """After kill -9 of the registry within a push, and its restart, the client's own retries end the push."""

    def restart(_: object) -> None:
        process.kill()
        time.sleep(0.2)
        process.start()

    pushing = killed_midway(process, source, restart)
    out, err = pushing.communicate(timeout=60)
    if pushing.returncode != 0:  # the restart took longer than the client is patient: the next push goes on
        assert "ConnectionFailed" in err or "CLIENT_002" in err, err
        out, err = push(process, source).communicate(timeout=60)
    assert out.splitlines()[-1] == "default/large@1", err
    with Client(process.url, api_key=process.admin_key) as client:
        check(client, source, tmp_path)
    assert parts_on_disk(process.home) == 0


def test_parts_of_another_file_are_found_and_dropped(process: RegistryProcess, source: Path, tmp_path: Path) -> None:
    """A part whose stored bytes are not those of the file is found with the whole; the push after that succeeds."""
    pushing = killed_midway(process, source, lambda child: child.send_signal(signal.SIGKILL))
    pushing.communicate(timeout=30)
    part, at = first_part(process.home)
    data = bytearray(part.read_bytes())
    data[at] ^= 1
    part.write_bytes(data)
    with Client(process.url, api_key=process.admin_key) as client:
        with pytest.raises(Exception, match=r"SIGN_004|STORE_003"):
            client.models.push("large", source)
        assert client.models.push("large", source).ref == "default/large@1"
        check(client, source, tmp_path)
