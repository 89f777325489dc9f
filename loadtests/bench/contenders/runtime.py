# SPDX-License-Identifier: Apache-2.0
"""What no server can beat: onnxruntime without a server, and gRPC without a model."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product

import numpy as np

from deploy.local.stack import ROOT, free_port
from loadtests.bench.contenders.asking import grpc_call, raw_grpc_meter
from loadtests.bench.place import Place
from loadtests.bench.wire import GRPC_METHOD, grpc_request
from loadtests.bench.work import Contender, Meter, Metrics
from loadtests.servers import running
from services.grpc_v2.protocol import open_inference_pb2 as pb


def onnxruntime(
    model: str, *, instances: int = 1, threads: int = 1, batch: int = 1, name: str | None = None
) -> Contender:
    """One way of running onnxruntime in a process of its own, without any server."""

    @contextmanager
    def opened(place: Place) -> Iterator[Meter]:
        request = place.folder("requests") / f"{model}.npz"
        np.savez(request, allow_pickle=False, **dict(place.subject(model).requests[0]))
        command = [sys.executable, "-m", "loadtests.peers.runtime", str(place.file(model)), str(request)]
        command += [f"--instances={instances}", f"--threads={threads}", f"--batch={batch}"]

        def measure(_level: int, seconds: float) -> Metrics:
            run = subprocess.run(
                [*command, f"--seconds={seconds}"], cwd=ROOT, check=True, capture_output=True, text=True
            )
            found: Metrics = json.loads(run.stdout)
            return found

        yield measure

    shape = f"onnxruntime {instances}x{threads}, batch {batch}"
    return Contender(name=name or shape, open=opened, levels=(1,))


def onnxruntime_sweep(
    model: str, *, instances: Sequence[int], threads: Sequence[int], batches: Sequence[int]
) -> list[Contender]:
    """Every combination, so that the best of them is known and not guessed."""
    return [
        onnxruntime(model, instances=instance, threads=thread, batch=batch)
        for instance, thread, batch in product(instances, threads, batches)
    ]


def grpc_echo(model: str) -> Contender:
    """An empty ``grpc.aio`` method with messages as long as those of ``model``."""

    @contextmanager
    def opened(place: Place) -> Iterator[Meter]:
        subject = place.subject(model)
        message = grpc_request(model, subject.requests[0], subject.output)
        answer = pb.ModelInferResponse(model_name=model, model_version="1")
        expected = subject.expected()[0]
        answer.outputs.add(name=subject.output, datatype="FP32", shape=expected.shape)
        answer.raw_output_contents.append(expected.tobytes())
        size = answer.ByteSize()
        address = f"127.0.0.1:{free_port()}"
        command = [sys.executable, "-m", "loadtests.peers.grpc_echo", address.rpartition(":")[2], str(size)]
        with running(command, environment={}, log=place.log("grpc-echo"), ready=f"tcp://{address}"):
            grpc_call(address, GRPC_METHOD, message, {})
            yield raw_grpc_meter(place, address, GRPC_METHOD, message, answer=size, headers={})

    return Contender(name="grpc.aio echo", open=opened)
