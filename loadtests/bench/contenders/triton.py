# SPDX-License-Identifier: Apache-2.0
"""Triton: the server binary of the wheel ``nvidia-pytriton`` with its C++ HTTP and gRPC fronts and dynamic batching.

The wheel has the Python backend and no onnxruntime backend, so onnxruntime runs inside the Python backend, in the peer's own
environment: the backend's stub finds the interpreter that is first on ``PATH`` and needs its ``libpython``.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

import numpy as np

from deploy.local.stack import ROOT, free_port
from loadtests.bench.contenders.asking import grpc_meter, http_meter
from loadtests.bench.place import PEERS, Place
from loadtests.bench.wire import JSON_V2, Wire
from loadtests.bench.work import Contender, Meter
from loadtests.models import Subject
from loadtests.servers import running

NAME: Final = "Triton"
_PEER: Final = "triton"
_PACKAGES: Final = PEERS / _PEER / "lib" / "python3.11" / "site-packages"
_SERVER: Final = _PACKAGES / "pytriton" / "tritonserver"
_DATATYPES: Final = {np.dtype(np.float32): "TYPE_FP32", np.dtype(np.int64): "TYPE_INT64"}
_CONFIG: Final = Template("""\
name: "$name"
backend: "python"
max_batch_size: $rows
input [ $inputs ]
output [ { name: "$output" data_type: TYPE_FP32 dims: [ $width ] } ]
instance_group [ { kind: KIND_CPU count: $instances } ]
$batching
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What a user of Triton sets by hand."""

    instances: int = 1
    batching: bool = True
    rows: int = 64  # largest batch
    ragged: bool = False  # requests of several lengths share a batch; model.py pads them


@dataclass(frozen=True, slots=True, kw_only=True)
class _Addresses:
    http: str
    grpc: str


def over_http(model: str, *, wire: Wire = JSON_V2, name: str = NAME, tuning: Tuning | None = None) -> Contender:
    """Triton over HTTP."""

    @contextmanager
    def opened(place: Place) -> Iterator[Meter]:
        with _serving(place, model, name, tuning or Tuning()) as at:
            yield http_meter(place, place.subject(model), wire, f"http://{at.http}/v2/models/{model}/infer")

    return Contender(name=name, open=opened, peer=_PEER)


def over_grpc(model: str, *, name: str = NAME, tuning: Tuning | None = None) -> Contender:
    """Triton over gRPC."""

    @contextmanager
    def opened(place: Place) -> Iterator[Meter]:
        with _serving(place, model, name, tuning or Tuning()) as at:
            yield grpc_meter(place, place.subject(model), at.grpc, model=model)

    return Contender(name=name, open=opened, peer=_PEER)


@contextmanager
def _serving(place: Place, model: str, name: str, tuning: Tuning) -> Iterator[_Addresses]:
    folder = place.folder(f"triton-{name.replace(' ', '-')}-{model}")
    _write_repository(folder / "models" / model, place.subject(model), tuning)
    shutil.copy(place.file(model), folder / "models" / model / "1" / "model.onnx")
    http, grpc, metrics = free_port(), free_port(), free_port()
    command = [
        str(_SERVER / "bin" / "tritonserver"),
        f"--model-repository={folder / 'models'}",
        f"--backend-directory={_write_backend(folder / 'backends')}",
        *(f"--{front}-address=127.0.0.1" for front in ("http", "grpc", "metrics")),
        f"--http-port={http}",
        f"--grpc-port={grpc}",
        f"--metrics-port={metrics}",
    ]
    environment = {
        "PATH": f"{PEERS / _PEER / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "LD_LIBRARY_PATH": f"{_PACKAGES / 'nvidia_pytriton.libs'}{os.pathsep}{sysconfig.get_config_var('LIBDIR')}",
        "OMP_NUM_THREADS": "1",
    }
    ready = f"http://127.0.0.1:{http}/v2/health/ready"
    with running(command, environment=environment, log=place.log(name), ready=ready):
        yield _Addresses(http=f"127.0.0.1:{http}", grpc=f"127.0.0.1:{grpc}")


def _write_repository(folder: Path, subject: Subject, tuning: Tuning) -> None:
    (folder / "1").mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "loadtests" / "peers" / "triton_model.py", folder / "1" / "model.py")
    ragged = " allow_ragged_batch: true" if tuning.ragged else ""
    inputs = ", ".join(
        f'{{ name: "{name}" data_type: {_DATATYPES[array.dtype]} dims: [ {_dims(subject, name)} ]{ragged} }}'
        for name, array in subject.requests[0].items()
    )
    config = _CONFIG.substitute(
        name=subject.name,
        rows=tuning.rows,
        inputs=inputs,
        output=subject.output,
        width=subject.expected()[0].shape[1],
        instances=tuning.instances,
        batching="dynamic_batching { }" if tuning.batching else "",
    )
    (folder / "config.pbtxt").write_text(config)


def _dims(subject: Subject, name: str) -> str:
    """The shape of one row; -1 where requests differ."""
    shapes = {request[name].shape[1:] for request in subject.requests}
    sizes = zip(*shapes, strict=True)
    return ", ".join(str(same[0] if len(set(same)) == 1 else -1) for same in sizes)


def _write_backend(folder: Path) -> Path:
    """The wheel's Python backend with the stub of this interpreter's version."""
    backend = folder / "python"
    if not backend.exists():
        shutil.copytree(_SERVER / "backends" / "python", backend)
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        shutil.copy(_SERVER / "python_backend_stubs" / version / "triton_python_backend_stub", backend)
    return folder
