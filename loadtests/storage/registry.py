# SPDX-License-Identifier: Apache-2.0
"""A registry process on a home of its own, and a client process that pushes to it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import msgspec
from onnx import TensorProto, helper

from deploy.local.stack import ROOT, free_port
from loadtests.storage.sample import Push

START_SECONDS: Final = 60.0

_PUSH: Final = """
import resource, sys, time, json
from furoshiki import Client
at = {}
started = time.monotonic()
with Client(sys.argv[1], api_key=sys.argv[2]) as client:
    import furoshiki.models as models
    real = models.send_files
    def timed(*arguments, **more):
        at["hashed"] = time.monotonic() - started
        result = yield from real(*arguments, **more)
        at["sent"] = time.monotonic() - started
        return result
    models.send_files = timed
    client.models.push("large", sys.argv[3])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"hashed": at["hashed"], "sent": at["sent"], "complete": time.monotonic() - started, "client_bytes": peak}))
"""


@dataclass(frozen=True, kw_only=True)
class Registry:
    """A running registry."""

    url: str
    admin_key: str
    pid: int

    def push(self, source: Path) -> Push:
        """Pushes a folder from a process of its own."""
        command = [sys.executable, "-c", _PUSH, self.url, self.admin_key, str(source)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"the push failed: {done.stderr.decode(errors='replace')[-2000:]}")
        return msgspec.json.decode(done.stdout, type=Push)

    def peak_bytes(self) -> int:
        """The most memory the process ever held."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

    @staticmethod
    def tiny_model() -> bytes:
        """A valid model of a few bytes; what is large lies beside it."""
        weights = helper.make_tensor("w", TensorProto.FLOAT, [4, 3], [float(at) for at in range(12)])
        graph = helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], ["y"])],
            "tiny",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3])],
            [weights],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        return bytes(model.SerializeToString())


@contextmanager
def running(home: Path, *, encryption: str) -> Iterator[Registry]:
    """A registry on an empty home; ended with the block.

    Raises:
        RuntimeError: If it does not become ready.
    """
    home.mkdir(parents=True)
    port = free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FUROSHIKI_")}
    own = {
        "FUROSHIKI_HOME": str(home),
        "FUROSHIKI_HTTP__PORT": str(port),
        "FUROSHIKI_STORE__ENCRYPTION": encryption,
    }
    with (home / "registry.log").open("wb") as log:
        command = [sys.executable, "-m", "registry_api", "serve"]
        process = subprocess.Popen(command, cwd=ROOT, env={**clean, **own}, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, process)
        yield Registry(url=url, admin_key=(home / "admin.key").read_text().strip(), pid=process.pid)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"{url}/readyz", timeout=1).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise RuntimeError(f"the registry at {url} did not become ready within {START_SECONDS:g} s")
