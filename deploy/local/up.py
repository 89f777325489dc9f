# SPDX-License-Identifier: Apache-2.0
"""``make up``: registry, worker and inference in the foreground, state kept under ``.furoshiki/``.

``FUROSHIKI_HOME``, ``UP_REGISTRY_PORT``, ``UP_INFERENCE_PORT`` and ``UP_GRPC_PORT`` change where and on which loopback ports.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Final

from deploy.local.stack import LocalStack, NotStarted

_PORTS: Final = {"UP_REGISTRY_PORT": "8800", "UP_INFERENCE_PORT": "3000", "UP_GRPC_PORT": "3001"}
_WELCOME = """
Registry    {registry}   (API description: {registry}/api/v1/docs)
Inference   {inference}   (Open Inference Protocol: {inference}/v2, gRPC: 127.0.0.1:{grpc})
Admin key   {key}
Logs        {logs}

Try:  .venv/bin/furo login --url {registry} --inference-url {inference} --key-file {key}
Ctrl-C ends all three; deployments that were started keep running until `furo stop NAME`.
"""


def main() -> int:
    ports = {name: int(os.environ.get(name, usual)) for name, usual in _PORTS.items()}
    stack = LocalStack(
        Path(os.environ.get("FUROSHIKI_HOME", ".furoshiki")),
        registry_port=ports["UP_REGISTRY_PORT"],
        inference_port=ports["UP_INFERENCE_PORT"],
        inference_settings={"FUROSHIKI_GRPC__PORT": str(ports["UP_GRPC_PORT"])},
    )
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        check_free(ports)
        stack.start(lambda step: print(step, file=sys.stderr, flush=True))
        print(
            _WELCOME.format(
                registry=stack.registry_url,
                inference=stack.inference_url,
                grpc=ports["UP_GRPC_PORT"],
                key=stack.home / "admin.key",
                logs=stack.home / "logs",
            ),
            flush=True,
        )
        while (ended := stack.failed()) is None:
            time.sleep(0.5)
        print(f"The {ended} ended by itself; see {stack.log(ended)}.", file=sys.stderr)
    except NotStarted as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        print("stopping", file=sys.stderr)
        return 0
    finally:
        stack.stop()
    return 1


def check_free(ports: Mapping[str, int]) -> None:
    """Finds out before anything is started that somebody else listens.

    Args:
        ports: On loopback, by the variable that chooses each.

    Raises:
        NotStarted: One is in use.
    """
    for variable, port in ports.items():
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(("127.0.0.1", port))
            except OSError as error:
                raise NotStarted(
                    f"Port {port} cannot be had ({error.strerror}). Does another `make up` run? Else choose one: "
                    f"{variable}=PORT make up"
                ) from None


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
