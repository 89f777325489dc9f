# SPDX-License-Identifier: Apache-2.0
"""``python -m runners tune SPEC.json``: the child process of a tune job.

SPEC is one JSON object, see :class:`TuneSpec`. Each point is told as one JSON line on stdout, the answer is written to the
file that SPEC names: ``{"tuning": …}`` and exit code 0, or ``{"error": {"code", "message"}}`` and exit code 3. The bundle is
verified here again: this process trusts nobody's word for what it runs. Then it keeps the answer's folder and loses all other
files. One tuning at a time measures on a machine; others
wait for the lock, which ends with its holder, however that ends.
"""

from __future__ import annotations

import fcntl
import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from artifacts.keys.file import FileTrust
from artifacts.signing.policy import Subject
from artifacts.signing.verifier import BundleVerifier, VerifiedBundle
from artifacts.source import DirectorySource
from artifacts.tuning import Point, Tuning
from core.clock import SystemClock
from core.confinement import confine
from core.errors import ErrorCode, FuroshikiError
from runners.batching.options import BatchOptions
from runners.interface import RunnerOptions
from runners.loading import backend_of, device_of, open_runner
from runners.tuning.choice import choose
from runners.tuning.device import this_device
from runners.tuning.sweep import SweepOptions, Told, sweep

REFUSED: Final = 3


class TuneSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to measure. Paths are absolute."""

    bundle: str  # folder of the bundle
    tenant: str
    model: str
    version: int
    variant: str
    trust: str  # folder of the tenants' trust policies
    answer: str  # file the answer is written to
    lock: str  # file locked while this machine is measured
    budget_s: float  # of all measurements together
    memory_bytes: int  # address space of this process


def run(path: Path) -> int:
    """Does what the spec in ``path`` says; the exit code.

    Raises:
        OSError: A file cannot be read or written.
        msgspec.ValidationError: The file is no spec.
    """
    spec = msgspec.json.decode(path.read_bytes(), type=TuneSpec)
    resource.setrlimit(resource.RLIMIT_AS, (spec.memory_bytes, spec.memory_bytes))
    code, answer = _answer(spec)
    Path(spec.answer).write_bytes(msgspec.json.encode(answer))
    return code


def tune(bundle: VerifiedBundle, *, budget_s: float, told: Told) -> Tuning:
    """Measures a verified bundle on this device and chooses. Blocks.

    Raises:
        ModelError: ``MODEL_003`` if the runtime refuses the model, or it cannot be measured.
        Unavailable: ``DEVICE_001`` if no backend here loads it.
    """
    device = this_device(backend_of(bundle.manifest.format, device_of(bundle.manifest.variant)))
    first = open_runner(bundle, options=RunnerOptions())
    signature = first.signature
    first.close()
    batching = BatchOptions.read(bundle.manifest.metadata, signature)
    points = sweep(
        lambda threads: open_runner(bundle, options=RunnerOptions(threads=threads)),
        batching,
        options=SweepOptions(cores=device.cores, budget_s=budget_s),
        clock=SystemClock(),
        told=told,
    )
    batched = signature.batched or batching.fixed is not None
    return Tuning(device=device, chosen=choose(points, batched=batched), measurements=points)


def _answer(spec: TuneSpec) -> tuple[int, dict[str, Any]]:
    try:
        bundle = _verified(spec)
        with _alone(Path(spec.lock)):
            os.environ["HOME"] = tempfile.tempdir = str(Path(spec.answer).parent)
            confine(write=[Path(spec.answer).parent])
            return 0, {"tuning": tune(bundle, budget_s=spec.budget_s, told=_tell)}
    except FuroshikiError as error:
        return REFUSED, {"error": {"code": str(error.code), "message": error.message}}
    except MemoryError:
        message = f"The model needs more than the {spec.memory_bytes} bytes its tuning may use."
        return REFUSED, {"error": {"code": str(ErrorCode.MODEL_INVALID), "message": message}}


def _verified(spec: TuneSpec) -> VerifiedBundle:
    subject = Subject(tenant=spec.tenant, model=spec.model, version=spec.version, variant=spec.variant)
    policy = FileTrust(Path(spec.trust)).policy(spec.tenant)
    return BundleVerifier(policy=policy, clock=SystemClock()).verify(
        DirectorySource(Path(spec.bundle)), subject=subject
    )


def _tell(point: Point, fraction: float) -> None:
    print(msgspec.json.encode({"point": point, "done": round(fraction, 4)}).decode(), flush=True)  # noqa: T201


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
