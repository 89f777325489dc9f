# SPDX-License-Identifier: Apache-2.0
"""Revocation as real servers see it: how long it takes, and that neither kill nor restart nor a clock brings trust back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from deploy.local.stack import ROOT, free_port
from furoshiki import Client
from tests.integration.registry_api.process import RegistryProcess
from tests.integration.registry_api.rest import tiny_onnx

WITHIN_S = 5.0
ROWS = np.ones((1, 4), dtype=np.float32)


@dataclass(kw_only=True)
class Server:
    """A running ``bentoml serve``."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def answer(self) -> tuple[int, str]:
        """Status and error code of one inference."""
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": ROWS.ravel().tolist()}
        response = httpx.post(f"{self.url}/v2/models/digits/infer", json={"inputs": [tensor]}, timeout=10)
        return response.status_code, response.headers.get("x-furoshiki-error", "")

    def until_ready(self) -> None:
        until(lambda: httpx.get(f"{self.url}/v2/health/ready").status_code == 200, 60, self.log)


def until(true: Callable[[], bool], seconds: float, log: Path) -> float:
    """Seconds until something is so."""
    started = time.monotonic()
    while time.monotonic() < started + seconds:
        with suppress(httpx.TransportError):
            if true():
                return time.monotonic() - started
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s:\n{log.read_text()[-3000:]}")


@contextmanager
def serving(folder: Path, **environment: str) -> Iterator[Server]:
    """A server with a home of its own, ended with everything it started."""
    folder.mkdir(exist_ok=True)
    port, log = free_port(), folder / "log"
    own = {
        "FUROSHIKI_HOME": str(folder / "home"),
        "FUROSHIKI_AUTH__MODE": "open",
        "BENTOML_HOME": str(folder / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        **environment,
    }
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FUROSHIKI_")}
    command = [sys.executable, "-m", "bentoml", "serve", "services.inference.service:Inference", "--port", str(port)]
    with log.open("ab") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=clean | own, stdout=out, stderr=out, start_new_session=True)
    try:
        yield Server(url=f"http://127.0.0.1:{port}", process=process, log=log)
    finally:
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(process.pid)
            for member in (*parent.children(recursive=True), parent):
                with suppress(psutil.NoSuchProcess):
                    member.send_signal(signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    process = RegistryProcess(tmp_path_factory.mktemp("registry") / "home")
    try:
        process.start()
        yield process
    finally:
        process.kill()


@pytest.fixture(scope="module")
def client(registry: RegistryProcess) -> Iterator[Client]:
    with Client(registry.url, api_key=registry.admin_key) as made:
        key = made.keys.create("admin", roles=["tenant-admin"]).key
    with Client(registry.url, api_key=key) as made:
        yield made


def settings(registry: RegistryProcess, folder: Path) -> dict[str, str]:
    """What a server that asks the registry needs, with the trust pinned as it is now."""
    pinned = folder / "pinned"
    shutil.copytree(registry.home / "keys" / "trust", pinned)
    return {
        "FUROSHIKI_REGISTRY__URL": registry.url,
        "FUROSHIKI_REGISTRY__API_KEY_FILE": str(registry.home / "service.key"),
        "FUROSHIKI_TRUST__DIR": str(pinned),
    }


def test_a_loaded_model_stops_answering(
    registry: RegistryProcess, client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Within five seconds of its revocation, from the registry and as one bundle; also after both were killed."""
    source = tmp_path / "model.onnx"
    source.write_bytes(tiny_onnx())
    version = client.models.push("digits", source)
    bundle = client.versions.download("digits", version.version, tmp_path / "bundle")
    common = settings(registry, tmp_path)
    modes = {
        "registry": {"FUROSHIKI_SOURCE": "registry", "FUROSHIKI_AUTH__OPEN_TENANT": "default"},
        "bundle": {"FUROSHIKI_SOURCE": "bundle", "FUROSHIKI_BUNDLE__PATH": str(bundle)},
    }
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(serving(tmp_path / f"server-{name}", **common, **own))
            for name, own in modes.items()
        }
        for server in servers.values():
            server.until_ready()
            assert server.answer() == (200, "")
        started = time.monotonic()
        client.signing.revoke(version=("digits", version.version), reason="it is wrong")
        took = {}
        waiting = dict(servers)
        while waiting and time.monotonic() < started + WITHIN_S:
            for name, server in list(waiting.items()):
                if server.answer()[1] == "SIGN_009":
                    took[name] = time.monotonic() - started
                    del waiting[name]
        assert not waiting, {name: server.log.read_text()[-2000:] for name, server in waiting.items()}
        with capsys.disabled():
            print(f"\nrevoked after {', '.join(f'{name} {seconds:.2f} s' for name, seconds in took.items())}")
        assert httpx.get(f"{servers['bundle'].url}/v2/health/ready").status_code != 200
    registry.kill()
    try:
        with serving(tmp_path / "server-bundle", **common, **modes["bundle"]) as server:
            refused = "SIGN_009"
            until(lambda: refused in server.log.read_text(), 60, server.log)
    finally:
        registry.restart()
