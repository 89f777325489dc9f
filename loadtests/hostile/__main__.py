# SPDX-License-Identifier: Apache-2.0
"""``python -m loadtests.hostile``: one service, a quiet tenant, and a hostile one at ten times its load.

Every round measures the quiet tenant alone and with the other, in turns of order, so that a drift of the machine meets both.
Printed are both tenants' p50 and p99 and how the quiet one's p99 grew: the median over the rounds. The exit code is 0 when
it grew no more than the goal. Raw histograms stay under ``loadtests/results/``. Client and service share the machine's cores.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from deploy.local.stack import ROOT
from deploy.local.train import INPUT, train_digits
from loadtests.hostile.load import Load, Sample, finish
from loadtests.locust.plan import Case, Target, Tensor
from loadtests.locust.tenants import Shared, shared_service
from loadtests.locust.wire import encode_binary

QUIET, HOSTILE = "quiet", "hostile"
_HEAD_START_S: Final = 2  # the hostile tenant sends before the quiet one is measured
talk = Console(stderr=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What is served, what is asked, and a load that leaves the service headroom on two cores."""

    file: Path
    case: Case
    connections: int  # of the quiet tenant
    think_ms: int
    seconds: int  # of one measurement: hundreds of answers for the p99


def digits(folder: Path) -> Model:
    """An MLP that computes in microseconds: what counts is the queue and the event loop."""
    trained = train_digits(folder)
    case = Case(
        inputs={INPUT: Tensor.of(trained.inputs[:1], "FP32")},
        expected={"label": Tensor.of(trained.predicted[:1], "INT64")},
    )
    return Model(file=trained.file, case=case, connections=4, think_ms=20, seconds=10)


def mobilenet(folder: Path) -> Model:
    """MobileNetV2 with random weights, 224 x 224 pixels, 602 KB a request: what counts is the model. Needs torch."""
    from loadtests.mobilenet import SIDE, mobilenet_v2_onnx

    file = folder / "mobilenet.onnx"
    file.write_bytes(mobilenet_v2_onnx())
    images = np.zeros((1, 3, SIDE, SIDE), dtype=np.float32)
    wanted = Tensor(datatype="FP32", shape=(1, 1000), data=[])  # asked for; wrk looks at no answer
    case = Case(inputs={"images": Tensor.of(images, "FP32")}, expected={"logits": wanted})
    return Model(file=file, case=case, connections=2, think_ms=300, seconds=40)


MODELS: Final[Mapping[str, Callable[[Path], Model]]] = {"digits": digits, "mobilenet": mobilenet}


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round's samples."""

    alone: Sample  # the quiet tenant by itself
    beside: Sample  # the quiet tenant while the hostile one sends
    hostile: Sample

    @property
    def ratio(self) -> float:
        """By how much the quiet tenant's p99 grew."""
        return self.beside.percentile_ms(0.99) / self.alone.percentile_ms(0.99)


def measure(quiet: Load, hostile: Load, scratch: Path, *, rounds: int, seconds: int) -> list[Round]:
    """Runs the rounds, every second one in the other order."""
    measured: list[Round] = []
    finish(quiet.start(scratch, seconds=2))  # loads the model, warms the caches
    for number in range(rounds):
        alone = None if number % 2 else finish(quiet.start(scratch, seconds=seconds))
        other = hostile.start(scratch, seconds=seconds + 2 * _HEAD_START_S)
        time.sleep(_HEAD_START_S)
        beside = finish(quiet.start(scratch, seconds=seconds))
        flood = finish(other)
        alone = alone or finish(quiet.start(scratch, seconds=seconds))
        measured.append(Round(alone=alone, beside=beside, hostile=flood))
        talk.print(f"round {number + 1}/{rounds}: quiet p99 {measured[-1].ratio:.2f}x")
    return measured


def report(rounds: Sequence[Round], *, title: str) -> Table:
    """Medians of the rounds."""
    table = Table("tenant", "requests/s", "not 200", "p50 ms", "p99 ms", title=title)
    for name, samples in (
        ("quiet, alone", [r.alone for r in rounds]),
        ("quiet, beside the hostile one", [r.beside for r in rounds]),
        ("hostile", [r.hostile for r in rounds]),
    ):
        table.add_row(
            name,
            f"{statistics.median(s.per_second for s in samples):,.0f}",
            str(sum(s.not_200 + s.socket_errors for s in samples)),
            f"{statistics.median(s.percentile_ms(0.5) for s in samples):.2f}",
            f"{statistics.median(s.percentile_ms(0.99) for s in samples):.2f}",
        )
    return table


def growth(rounds: Sequence[Round]) -> float:
    """By how much the quiet tenant's p99 grew: the median of the rounds."""
    return statistics.median(one.ratio for one in rounds)


def loads(service: Shared, model: Model, scratch: Path, found: argparse.Namespace) -> tuple[Load, Load]:
    """The quiet tenant's load and the hostile one's."""
    made = []
    connections = found.connections or model.connections
    for tenant, count in ((QUIET, connections), (HOSTILE, connections * found.factor)):
        target = Target(tenant=tenant, model=model.file.stem, key=service.keys[tenant], cases=[model.case])
        request = encode_binary(target, model.case)
        body = scratch / "body"
        body.write_bytes(request.body)
        load = Load(
            url=service.url + request.path,
            headers={"X-API-Key": target.key, **request.headers},
            body=body,
            connections=count,
            think_ms=model.think_ms if found.think_ms is None else found.think_ms,
        )
        made.append(load)
    return made[0], made[1]


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, default="digits")
    parser.add_argument("--connections", type=int, help="of the quiet tenant; the model's own default leaves headroom")
    parser.add_argument("--think-ms", type=int, help="mean pause of a connection; 0: as fast as the service answers")
    parser.add_argument("--factor", type=int, default=10, help="hostile load over quiet load (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, help="of one measurement; the model's own default gives a p99 a meaning")
    parser.add_argument("--goal", type=float, default=1.5, help="the quiet p99 may grow by this much (%(default)s)")
    parser.add_argument(
        "--results", type=Path, default=ROOT / "loadtests" / "results", help="folder of the raw samples"
    )
    return parser.parse_args(arguments)


def main() -> int:
    found = options()
    with tempfile.TemporaryDirectory(prefix="furoshiki-hostile-") as folder:
        scratch = Path(folder)
        model = MODELS[found.model](scratch)
        with shared_service(scratch / "home", tenants=(QUIET, HOSTILE), models=[model.file]) as service:
            quiet, hostile = loads(service, model, scratch, found)
            rounds = measure(quiet, hostile, scratch, rounds=found.rounds, seconds=found.seconds or model.seconds)
    found.results.mkdir(parents=True, exist_ok=True)
    path = found.results / f"hostile-{found.model}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps([asdict(one) for one in rounds]))
    title = f"{found.model}: {quiet.connections} and {hostile.connections} connections, {quiet.think_ms} ms between requests"
    out = Console(width=100)
    out.print(report(rounds, title=title))
    ratio = growth(rounds)
    passed = ratio <= found.goal
    out.print(f"{'PASS' if passed else 'FAIL'}  quiet p99 grew {ratio:.2f}x, goal {found.goal:g}x")
    talk.print(f"raw samples: {path}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
