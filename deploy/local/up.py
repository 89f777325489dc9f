# SPDX-License-Identifier: Apache-2.0
"""``make up``: registry, worker and inference in the foreground, state kept under ``.furoshiki/``.

``FUROSHIKI_HOME``, ``UP_REGISTRY_PORT``, ``UP_INFERENCE_PORT`` and ``UP_GRPC_PORT`` change where and on which loopback ports.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from deploy.local.stack import LocalStack, NotStarted

_WELCOME = """
Registry    {registry}   (API description: {registry}/api/v1/docs)
Inference   {inference}   (Open Inference Protocol: {inference}/v2, gRPC: 127.0.0.1:{grpc})
Admin key   {key}
Logs        {logs}

Try:  .venv/bin/furo login --url {registry} --inference-url {inference} --key-file {key}
Ctrl-C ends all three; deployments that were started keep running until `furo stop NAME`.
"""


def main() -> int:
    grpc_port = os.environ.get("UP_GRPC_PORT", "3001")
    stack = LocalStack(
        Path(os.environ.get("FUROSHIKI_HOME", ".furoshiki")),
        registry_port=int(os.environ.get("UP_REGISTRY_PORT", "8800")),
        inference_port=int(os.environ.get("UP_INFERENCE_PORT", "3000")),
        inference_settings={"FUROSHIKI_GRPC__PORT": grpc_port},
    )
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        stack.start(lambda step: print(step, file=sys.stderr, flush=True))
        print(
            _WELCOME.format(
                registry=stack.registry_url,
                inference=stack.inference_url,
                grpc=grpc_port,
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


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
