# SPDX-License-Identifier: Apache-2.0
"""The cheap model over gRPC."""

from __future__ import annotations

from typing import Final

from loadtests.bench.contenders import others, ours, triton
from loadtests.bench.contenders.runtime import grpc_echo
from loadtests.bench.work import Goal, Work

_LEVELS: Final = (1, 16, 64)

WORK: Final = Work(
    name="grpc",
    title="MLP 64-256-256-10, one row per call, gRPC ModelInfer",
    about="h2load over at most four connections; the echo is an empty grpc.aio method with messages of the same size.",
    level="calls in flight",
    levels=_LEVELS,
    contenders=(
        ours.over_grpc("mlp"),
        grpc_echo("mlp"),
        triton.over_grpc("mlp"),
        others.mlserver_grpc("mlp"),
    ),
    goals=(
        *(Goal(metric="per_second", at=at, against=("grpc.aio echo",), least=0.8) for at in _LEVELS),
        *(Goal(metric="per_second", at=at, against=("MLServer",), least=1.5) for at in _LEVELS),
    ),
)
