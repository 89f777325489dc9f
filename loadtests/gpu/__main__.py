# SPDX-License-Identifier: Apache-2.0
"""``python -m loadtests.gpu``: the runner contract and a benchmark on the first CUDA device that this process may see.

Runs :mod:`loadtests.gpu.contract` for ``onnx-cuda`` and ``torch-cuda``, then :mod:`loadtests.gpu.benchmark`, and keeps
device, driver, versions, every outcome and every sample in one file under ``loadtests/results/``. ``--check`` only tells
whether there is a device; it needs nothing but Python. Exit codes: 0 all passed; 1 the contract is broken; 3 there is nothing
to run on, with ``{"error": {"code": "DEVICE_001", "message"}}`` on stdout.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Final

from core.errors import ErrorCode
from runners.hardware.cuda import cuda_absent

NO_DEVICE: Final = 3


def refuse(reason: str) -> int:
    """Says why nothing is run; the exit code."""
    message = f"Nothing was run: {reason}. This needs a machine with a CUDA device, see docs/how-to/choose-a-runner.md."
    print(json.dumps({"error": {"code": str(ErrorCode.DEVICE_UNAVAILABLE), "message": message}}))
    return NO_DEVICE


def main(arguments: Sequence[str] | None = None) -> int:
    """Everything; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.gpu", description="Contract and benchmark on a CUDA device."
    )
    parser.add_argument("--check", action="store_true", help="only tell whether there is a device")
    parser.add_argument("--quick", action="store_true", help="few samples: a trial")
    options = parser.parse_args(arguments)
    absent = cuda_absent()
    if absent is not None:
        return refuse(absent)
    if options.check:
        return 0
    from loadtests.gpu.run import run, unusable

    reason = unusable()
    return run(quick=options.quick) if reason is None else refuse(reason)


if __name__ == "__main__":
    sys.exit(main())
