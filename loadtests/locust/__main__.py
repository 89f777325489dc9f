# SPDX-License-Identifier: Apache-2.0
"""``python -m loadtests.locust``: the whole load test; its exit code is 0 only if every threshold held.

Without ``--host`` it starts a registry and an inference service with two tenants and two models each, and checks every
answer against what scikit-learn predicted. The HTML report and the CSV files stay under ``loadtests/results/``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from deploy.local.stack import ROOT
from deploy.local.train import train_digits, train_wine
from loadtests.locust.plan import PLAN_FILE, Plan, Profile, Thresholds
from loadtests.locust.targets import discovered, known
from loadtests.locust.tenants import shared_service

TENANTS: Final = ("acme", "globex")


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    profile, limits = Profile(), Thresholds()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=profile.rate, help="users a second after the ramp (%(default)s)")
    parser.add_argument("--ramp", type=float, default=profile.ramp_s, help="seconds of the ramp (%(default)s)")
    parser.add_argument("--hold", type=float, default=profile.hold_s, help="seconds at the full rate (%(default)s)")
    parser.add_argument("--p95-ms", type=float, default=limits.p95_ms, help="p95 must be below (%(default)s)")
    parser.add_argument("--success", type=float, default=limits.success_percent, help="%% must exceed (%(default)s)")
    parser.add_argument("--sent", type=float, default=limits.sent_percent, help="%% of the plan sent (%(default)s)")
    parser.add_argument("--results", type=Path, default=ROOT / "loadtests" / "results", help="folder of the reports")
    running = parser.add_argument_group("a service that already runs")
    running.add_argument("--host", help="its URL")
    running.add_argument("--grpc", help="its gRPC address, host:port; without it there are no gRPC users")
    running.add_argument("--key-file", type=Path, action="append", default=[], help="an API key; once per tenant")
    running.add_argument("--model", action="append", default=[], help="a model each of these tenants has")
    found = parser.parse_args(arguments)
    if found.host and not (found.key_file and found.model):
        parser.error("--host needs at least one --key-file and one --model")
    return found


@contextmanager
def plan(found: argparse.Namespace, scratch: Path) -> Iterator[Plan]:
    """The plan of a run; a service started for it ends with the block."""
    profile = Profile(rate=found.rate, ramp_s=found.ramp, hold_s=found.hold)
    thresholds = Thresholds(p95_ms=found.p95_ms, success_percent=found.success, sent_percent=found.sent)
    if found.host:
        targets = [
            discovered(found.host, model, tenant=file.stem, key=file.read_text().strip())
            for file in found.key_file
            for model in found.model
        ]
        yield Plan(host=found.host, grpc=found.grpc, targets=targets, profile=profile, thresholds=thresholds)
        return
    models = [train(scratch) for train in (train_digits, train_wine)]
    with shared_service(scratch / "home", tenants=TENANTS, models=[model.file for model in models]) as service:
        targets = [known(model, tenant=tenant, key=key) for tenant, key in service.keys.items() for model in models]
        yield Plan(host=service.url, grpc=service.grpc, targets=targets, profile=profile, thresholds=thresholds)


def main() -> int:
    found = options()
    found.results.mkdir(parents=True, exist_ok=True)
    report = found.results / f"load-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    command = [sys.executable, "-m", "locust", "--locustfile", str(Path(__file__).with_name("locustfile.py"))]
    command += ["--headless", "--only-summary", "--csv", str(report), "--html", f"{report}.html"]
    with tempfile.TemporaryDirectory(prefix="furoshiki-load-") as folder:
        scratch = Path(folder)
        with plan(found, scratch) as made:
            made.write(scratch / "plan.json")
            environment = {**os.environ, PLAN_FILE: str(scratch / "plan.json")}
            code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    print(f"report: {report}.html")
    return code


if __name__ == "__main__":
    sys.exit(main())
