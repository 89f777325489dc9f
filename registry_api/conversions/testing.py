# SPDX-License-Identifier: Apache-2.0
"""For tests of whoever converts: a program in place of ``python -m converters run``, and reports of any outcome.

Run as ``python -m registry_api.conversions.testing SPEC.json`` it copies the source as the candidate. The first name of the
spec's route says what else it does; see :class:`Behaviour`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from artifacts.manifest import MANIFEST_NAME, SIGNATURE_NAME, Manifest
from converters.parity.report import Histogram, Inputs, Latency, Report, Thresholds
from converters.spec import Candidate, ConvertAnswer, ConvertSpec, SignatureJson, folder_name

PROGRAM = (sys.executable, "-P", "-m", "registry_api.conversions.testing")


class Behaviour(StrEnum):
    """What the program does; the comment on each line is its meaning."""

    ACCEPT = "accept"
    REJECT = "reject"  # the candidate is too far from its source
    CRASH = "crash"  # dies of a signal
    REFUSE = "refuse"  # says why it cannot
    HANG = "hang"  # starts a child and waits for ever
    LINK = "link"  # the candidate is a link out of its folder
    LIE = "lie"  # the report is of another variant
    BABBLE = "babble"  # the answer is no JSON


def report_of(variant: str, source: str, *, accepted: bool = True, **changes: Any) -> Report:
    """A report with plausible numbers."""
    fields: dict[str, Any] = {
        "variant": variant,
        "source": source,
        "precision": variant.partition("/")[0].rpartition("-")[2],
        "inputs": Inputs(n=8, calibration=0, random=8, batches=(1, 8), kinds={"x": "normal"}, seed=0),
        "max_abs": 0.5,
        "mean_abs": 0.01,
        "cosine": 0.999,
        "top1_agreement": 0.96,
        "metric": None,
        "clipped": None,
        "non_finite": 0,
        "outputs": (),
        "source_bytes": 4000,
        "bytes": 1000,
        "latency": (Latency(rows=1, source_ms=2.0, ms=1.0), Latency(rows=8, source_ms=10.0, ms=4.0)),
        "thresholds": Thresholds(cosine=0.98),
        "verdict": "accepted" if accepted else "rejected",
        "reasons": () if accepted else ("cosine 0.5 is below 0.98",),
        "histogram": Histogram(edges=(-8.0, -4.0, 0.0), counts=(3, 5), zeros=0),
        "versions": {"numpy": "2"},
    }
    return Report(**{**fields, **changes})


def main(path: Path) -> int:
    """Does what the spec's route says; the exit code."""
    spec = msgspec.json.decode(path.read_bytes(), type=ConvertSpec)
    behaviour = Behaviour((spec.route or ("accept",))[0])
    print(msgspec.json.encode({"stage": "convert", "done": 0.5, "message": behaviour}).decode(), flush=True)  # noqa: T201 - the channel
    answer = Path(spec.answer)
    match behaviour:
        case Behaviour.CRASH:
            os.abort()
        case Behaviour.REFUSE:
            answer.write_bytes(msgspec.json.encode({"error": {"code": "MODEL_003", "message": "Custom op 'X'."}}))
            return 3
        case Behaviour.HANG:
            subprocess.Popen(["sleep", "600"])  # noqa: S607
            time.sleep(600)
        case Behaviour.BABBLE:
            answer.write_bytes(b"{")
            return 0
        case _:
            answer.write_bytes(msgspec.json.encode(_answer(spec, behaviour)))
    return 0


def _answer(spec: ConvertSpec, behaviour: Behaviour) -> ConvertAnswer:
    bundle = Path(spec.bundle)
    manifest = Manifest.from_bytes((bundle / MANIFEST_NAME).read_bytes())
    assert manifest.signature is not None  # every version that was registered has one
    target = Path(spec.output) / folder_name(spec.target)
    shutil.copytree(bundle, target, ignore=shutil.ignore_patterns(MANIFEST_NAME, SIGNATURE_NAME))
    if behaviour is Behaviour.LINK:
        (target / manifest.files[0].path).unlink()
        (target / manifest.files[0].path).symlink_to("/etc/passwd")
    accepted = behaviour is not Behaviour.REJECT
    name = "onnx-fp16/cpu" if behaviour is Behaviour.LIE else spec.target
    report = report_of(name, spec.variant, accepted=accepted)
    candidate = Candidate(
        variant=spec.target,
        format=manifest.format,
        precision=report_of(spec.target, spec.variant).precision,
        files=tuple(entry.path for entry in manifest.files),
        signature=SignatureJson.of(manifest.signature),
        metadata={},
        route=(behaviour,),
        accepted=accepted,
        reasons=report.reasons,
        report=report,
        seconds=0.1,
        peak_bytes=1 << 20,
    )
    return ConvertAnswer(candidates=(candidate,), environment={"python": sys.version.split()[0]})


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
