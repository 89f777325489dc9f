# SPDX-License-Identifier: Apache-2.0
"""Starts and stops the servers of a benchmark on free loopback ports."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from deploy.local.stack import ROOT, free_port


@contextmanager
def bentoml_serve(target: str, *, environment: Mapping[str, str], log: Path, ready: str) -> Iterator[str]:
    """Serves ``target`` and yields its URL once ``ready`` answers 200; ends its process group afterwards.

    Raises:
        TimeoutError: If it is not ready within 60 seconds; the log's end is in the message.
    """
    port = free_port()
    command = [sys.executable, "-m", "bentoml", "serve", target, "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "BENTOML_DO_NOT_TRACK": "True", **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url + ready, process, log)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise TimeoutError(f"{url} is not ready:\n{log.read_text()[-2000:]}")
