# SPDX-License-Identifier: Apache-2.0
"""Every work of the benchmark, in the order it is run and reported."""

from __future__ import annotations

from typing import Final

from loadtests.bench.work import Work
from loadtests.bench.works import grpc, memory, minilm, mlp_binary, mlp_json, mobilenet, overhead, processes

WORKS: Final[tuple[Work, ...]] = (
    mlp_json.WORK,
    mlp_binary.WORK,
    mobilenet.WORK,
    minilm.WORK,
    grpc.WORK,
    overhead.WORK,
    *processes.WORKS,
    memory.WORK,
)
