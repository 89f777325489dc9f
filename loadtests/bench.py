# SPDX-License-Identifier: Apache-2.0
"""``python -m loadtests.bench``: this service and plain BentoML, the same model, the same client, in one run.

Servers run one after another in every round, each measured at all connection counts while no other server is up, so that
a drift of the machine meets all of them. One request is one row of 64 floats or, with ``--model minilm``, one sentence of
16 tokens; everybody speaks JSON. All run with metrics on and access logs off, this service with request ids. The median
of the rounds is printed; every sample goes to ``loadtests/results/``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from core.tensors import dtype_from_numpy
from deploy.local.stack import ROOT
from loadtests.models import SUBJECTS, Subject, signed_bundle
from loadtests.servers import bentoml_serve
from loadtests.wrk import Sample, measure

OURS, BATCHABLE, PLAIN = "furoshiki", "BentoML batchable", "BentoML @api"
talk = Console(stderr=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One server of the comparison."""

    name: str
    target: str
    environment: Mapping[str, str]
    ready: str
    route: str
    body: str


def contenders(subject: Subject, scratch: Path) -> list[Contender]:
    """Writes the model and describes who serves it."""
    onnx = scratch / "model.onnx"
    onnx.write_bytes(subject.onnx)
    bundle = signed_bundle(subject, scratch / "bundle", scratch / "keys")
    ours = Contender(
        name=OURS,
        target="services.inference.service:Inference",
        environment={
            "FUROSHIKI_SOURCE": "bundle",
            "FUROSHIKI_BUNDLE__PATH": str(bundle),
            "FUROSHIKI_TRUST__DIR": str(scratch / "keys" / "trust"),
            "FUROSHIKI_AUTH__MODE": "open",
            "FUROSHIKI_LOG__ACCESS": "false",
        },
        ready="/v2/health/ready",
        route=f"/v2/models/{subject.name}/infer",
        body=json.dumps(_protocol_request(subject)),
    )
    peers = [
        Contender(
            name=name,
            target=f"{subject.peers}:{service}",
            environment={"MODEL": str(onnx)},
            ready="/readyz",
            route="/predict",
            body=json.dumps(subject.peer_body),
        )
        for name, service in ((BATCHABLE, "Batchable"), (PLAIN, "Plain"))
    ]
    return [ours, *peers]


def _protocol_request(subject: Subject) -> dict[str, Any]:
    inputs = [
        {
            "name": name,
            "shape": list(array.shape),
            "datatype": dtype_from_numpy(array.dtype).oip,
            "data": array.ravel().tolist(),
        }
        for name, array in subject.request.items()
    ]
    return {"inputs": inputs, "outputs": [{"name": subject.output}]}


@contextmanager
def _serving(contender: Contender, scratch: Path) -> Iterator[str]:
    log = scratch / f"{contender.target.rpartition(':')[2]}.log"
    with bentoml_serve(contender.target, environment=contender.environment, log=log, ready=contender.ready) as url:
        yield url + contender.route


def run(subject: Subject, connections: Sequence[int], *, rounds: int, seconds: int) -> list[Sample]:
    """Measures everybody and returns the raw samples."""
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory(prefix="furoshiki-bench-") as folder:
        scratch = Path(folder)
        everybody = contenders(subject, scratch)
        for number in range(1, rounds + 1):
            for contender in everybody:
                with _serving(contender, scratch) as url:
                    measure(contender.name, url, contender.body, connections=8, seconds=1, scratch=scratch)
                    for count in connections:
                        sample = measure(
                            contender.name, url, contender.body, connections=count, seconds=seconds, scratch=scratch
                        )
                        samples.append(sample)
                        talk.print(f"round {number}/{rounds} {sample.server} c={count}: {sample.per_second:.0f}/s")
    return samples


def report(samples: Sequence[Sample], connections: Sequence[int], *, model: str) -> Table:
    """Medians and ratios."""
    headings = ("server", "connections", "requests/s", "p50 ms", "p99 ms", "not 200", f"{OURS} is")
    table = Table(*headings, title=f"{model}: one row per request, JSON")
    for count in connections:
        ours = statistics.median(s.per_second for s in samples if (s.server, s.connections) == (OURS, count))
        for name in dict.fromkeys(sample.server for sample in samples):
            mine = [sample for sample in samples if (sample.server, sample.connections) == (name, count)]
            rate = statistics.median(sample.per_second for sample in mine)
            table.add_row(
                name,
                str(count),
                f"{rate:,.0f}",
                f"{statistics.median(sample.p50_ms for sample in mine):.2f}",
                f"{statistics.median(sample.p99_ms for sample in mine):.2f}",
                str(sum(sample.not_200 + sample.socket_errors for sample in mine)),
                "" if name == OURS else f"{ours / rate:.1f}x",
            )
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=SUBJECTS, default="digits")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    options = parser.parse_args()
    subject = SUBJECTS[options.model]()
    samples = run(subject, options.connections, rounds=options.rounds, seconds=options.seconds)
    results = ROOT / "loadtests" / "results"
    results.mkdir(exist_ok=True)
    path = results / f"bench-{subject.name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps([asdict(sample) for sample in samples], indent=1))
    Console(width=100).print(report(samples, options.connections, model=subject.name))
    talk.print(f"raw samples: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
