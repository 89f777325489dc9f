# SPDX-License-Identifier: Apache-2.0
"""``make demo``: the main job, end to end, on real data and free loopback ports in a temporary home.

Trains, pushes, signs, builds, deploys, infers, compares, tampers, cleans up. Talk goes to stderr, the result to stdout. Exit
code 0 means that every accuracy over HTTP equalled the one in process and that the tampered Bento was refused.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from deploy.local.stack import LocalStack, free_port
from deploy.local.train import Trained, train_digits, train_wine
from furoshiki import Build, Client, Deployment

talk = Console(stderr=True, highlight=False)


class DemoFailed(Exception):
    """Something did not behave as it must."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One model from training to its last request."""

    trained: Trained
    build: Build
    deployment: Deployment
    accuracy: float  # over HTTP
    milliseconds: Sequence[float]  # of each single-row request
    digest: str  # verified digest the service reported


@contextmanager
def step(words: str) -> Iterator[None]:
    """Says what is happening and how long it took."""
    started = time.perf_counter()
    with talk.status(words):
        yield
    talk.print(f"[green]done[/] {words} [dim]({time.perf_counter() - started:.1f} s)[/]")


def publish(client: Client, trained: Trained) -> tuple[Build, Deployment]:
    """Pushes a model, builds its Bento and deploys it."""
    name = trained.name
    with step(f"push {name}: upload, check, sign"):
        version = client.models.push(name, trained.file, description=trained.description)
    with step(f"build the Bento of {name}@{version.version}"):
        build = client.builds.wait(client.builds.create(name, version=version.version).id)
    with step(f"deploy {build.tag}"):
        client.deployments.create(name, build_id=build.id)
        deployment = client.deployments.wait(name)
    return build, deployment


def exercise(client: Client, trained: Trained, build: Build, deployment: Deployment) -> Served:
    """Sends the held-out rows one by one, then all at once; both must give what scikit-learn gives."""
    milliseconds: list[float] = []
    labels: list[int] = []
    with step(f"infer the {len(trained.inputs)} held-out rows of {trained.name}"):
        for row in trained.inputs:
            started = time.perf_counter()
            result = client.infer(trained.name, {"X": row[None]}, url=deployment.url)
            milliseconds.append((time.perf_counter() - started) * 1000)
            labels.append(int(result["label"][0]))
        batch = client.infer(trained.name, {"X": trained.inputs}, url=deployment.url)
    if not np.array_equal(batch["label"], trained.predicted) or labels != trained.predicted.tolist():
        raise DemoFailed(f"{trained.name}: predictions over HTTP differ from those in process.")
    return Served(
        trained=trained,
        build=build,
        deployment=deployment,
        accuracy=float((np.array(labels) == trained.labels).mean()),
        milliseconds=milliseconds,
        digest=batch.digest or "",
    )


def tamper(home: Path, served: Served, scratch: Path) -> str:
    """Flips one byte of a copy of the Bento's model and returns what ``bentoml serve`` says to it."""
    name, _, version = (served.build.tag or "").partition(":")
    copy = scratch / "tampered"
    shutil.copytree(home / "bentoml" / "bentos" / name / version, copy)
    model = next((copy / "src" / "model").glob("*.onnx"))
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 0x01
    model.write_bytes(data)
    run = subprocess.run(
        [sys.executable, "-m", "bentoml", "serve", str(copy), "--port", str(free_port())],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "BENTOML_HOME": str(home / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"},
    )
    refusal = next((line for line in run.stderr.splitlines() if "SIGN_004" in line), None)
    if run.returncode == 0 or refusal is None:
        raise DemoFailed(f"A tampered Bento was not refused (exit {run.returncode}):\n{run.stderr[-2000:]}")
    return f"exit {run.returncode}: {refusal.strip()}"


def report(served: Sequence[Served]) -> Table:
    """One row per model."""
    table = Table(title="Held-out rows over HTTP", caption="p50 and p99: one row per request, client included")
    for heading in ("model", "Bento", "rows", "accuracy", "in process", "p50 ms", "p99 ms", "digest", "key id"):
        table.add_column(heading, overflow="fold")
    for one in served:
        table.add_row(
            f"{one.build.tenant}/{one.build.model}@{one.build.version}",
            one.build.tag,
            str(len(one.trained.inputs)),
            f"{one.accuracy:.4f}",
            f"{one.trained.accuracy:.4f}",
            f"{np.percentile(one.milliseconds, 50):.2f}",
            f"{np.percentile(one.milliseconds, 99):.2f}",
            one.digest.removeprefix("sha256:")[:12],
            (one.build.key_id or "")[:12],
        )
    return table


def bento_list(home: Path) -> str:
    """What ``bentoml list`` prints for the demo's home."""
    environment = {
        **os.environ,
        "BENTOML_HOME": str(home / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "COLUMNS": "120",
    }
    command = [sys.executable, "-m", "bentoml", "list"]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def run(scratch: Path) -> None:
    """The whole story in ``scratch``."""
    home = scratch / "home"
    stack = LocalStack(home, registry_port=free_port())
    try:
        with step("start the registry and its worker"):
            stack.start(lambda _: None)
        with Client(stack.registry_url, api_key=stack.admin_key) as client:
            try:
                served = serve_all(client, scratch)
                with step("flip one byte of a stored model and serve it"):
                    refusal = tamper(home, served[0], scratch)
            finally:
                with step("stop the deployments"):
                    stop_all(client)
        out = Console(width=130)
        out.print(report(served))
        out.print(f"$ bentoml list\n{bento_list(home)}", highlight=False)
        out.print(f"One byte flipped in the model of a Bento; `bentoml serve` says:\n  {refusal}", highlight=False)
    finally:
        with step("stop the registry and its worker"):
            stack.stop()


def serve_all(client: Client, scratch: Path) -> list[Served]:
    """Trains, publishes and exercises both models."""
    served: list[Served] = []
    for train in (train_digits, train_wine):
        with step(f"{train.__name__.replace('_', ' ')} on scikit-learn's real data"):
            trained = train(scratch)
        talk.print(f"     accuracy on {len(trained.inputs)} held-out rows, in process: {trained.accuracy:.4f}")
        served.append(exercise(client, trained, *publish(client, trained)))
    return served


def stop_all(client: Client) -> None:
    """Stops every deployment and waits until it has stopped."""
    names = [deployment.name for deployment in client.deployments.list() if deployment.state != "stopped"]
    for name in names:
        client.deployments.stop(name)
    for name in names:
        client.deployments.wait(name)


def main() -> int:
    parser = argparse.ArgumentParser(description="The main job, end to end.")
    parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="furoshiki-demo-") as folder:
        try:
            run(Path(folder))
        except DemoFailed as error:
            talk.print(f"[red]{error}[/]")
            return 1
    talk.print(f"everything stopped; {time.perf_counter() - started:.0f} s in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
