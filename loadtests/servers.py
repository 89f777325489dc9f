# SPDX-License-Identifier: Apache-2.0
"""Starts and stops the servers of a benchmark on free loopback ports."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import psutil

from deploy.local.stack import ROOT, free_port

_START_S: Final = 120.0  # Ray needs tens of seconds on two busy cores
_STOP_S: Final = 15.0


class ServerFailed(Exception):
    """A server did not start, ended early or answered wrongly; the message says which and why."""


@contextmanager
def running(
    command: Sequence[str], *, environment: Mapping[str, str], log: Path, ready: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs ``command`` at the repository's root and ends it with everything it started.

    Args:
        command: The program and its arguments.
        environment: Added to this process's.
        log: Takes its output.
        ready: URL that answers 200 once the server serves; ``tcp://host:port``: which accepts connections.

    Raises:
        ServerFailed: If it is not ready within two minutes; the log's end is in the message.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "BENTOML_DO_NOT_TRACK": "True", **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait(ready, process, log)
        yield process
    finally:
        _end(process)


@contextmanager
def bentoml_serve(target: str, *, environment: Mapping[str, str], log: Path, ready: str) -> Iterator[str]:
    """Serves ``target`` from this environment and yields its URL once its path ``ready`` answers 200.

    Raises:
        ServerFailed: If it is not ready within two minutes; the log's end is in the message.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running(bentoml_command(target, port), environment=environment, log=log, ready=url + ready):
        yield url


def bentoml_command(target: str, port: int) -> list[str]:
    """``bentoml serve`` in this environment."""
    return [sys.executable, "-m", "bentoml", "serve", target, "--host", "127.0.0.1", "--port", str(port)]


def family(pid: int) -> list[psutil.Process]:
    """A process and everything below it that is alive, the process first."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        if _answers(url):
            return
        time.sleep(0.1)
    raise ServerFailed(f"{url} is not ready. The end of {log}:\n{log.read_text(errors='replace')[-3000:]}")


def _answers(url: str) -> bool:
    try:
        if url.startswith("tcp://"):
            host, _, port = url.removeprefix("tcp://").rpartition(":")
            socket.create_connection((host, int(port)), timeout=1).close()
            return True
        return httpx.get(url, trust_env=False).status_code == httpx.codes.OK
    except (OSError, httpx.TransportError):
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Asks the process to end; what is left of its family then is killed, whatever session it made for itself."""
    members = family(process.pid)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs(members, timeout=_STOP_S)
    for member in alive:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()
