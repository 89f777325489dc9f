# SPDX-License-Identifier: Apache-2.0
"""``make demo``: the main job, end to end, on real data and free loopback ports in a temporary home.

Trains, pushes, signs, builds, deploys, infers, compares, tampers, cleans up. Talk goes to stderr, the result to stdout. Exit
code 0 means that every output over HTTP was the one in process (embeddings: within 1e-5) and that the tampered Bento was
refused. ``--full`` adds all-MiniLM-L6-v2, which needs torch and the packages of ``deploy/locks/full.txt``. ``--platform``
does the same on what surrounds the registry in production (:mod:`deploy.local.platform`), as somebody whom the OpenID
provider knows.
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
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from rich.console import Console

from deploy.local.case import Array, Case, Inputs, largest_difference
from deploy.local.platform import Platform, platform
from deploy.local.report import Served, table
from deploy.local.stack import LocalStack, free_port
from deploy.local.train import train_digits, train_wine
from furoshiki import Build, Client, Deployment, InferenceResult

talk = Console(stderr=True, highlight=False)


class DemoFailed(Exception):
    """Something did not behave as it must."""


@contextmanager
def step(words: str) -> Iterator[None]:
    """Says what is happening and how long it took."""
    started = time.perf_counter()
    with talk.status(words):
        yield
    talk.print(f"[green]done[/] {words} [dim]({time.perf_counter() - started:.1f} s)[/]")


def publish(client: Client, case: Case) -> tuple[Build, Deployment]:
    """Pushes a model, builds its Bento and deploys it."""
    name = case.name
    with step(f"push {name}: upload, check, sign"):
        version = client.models.push(name, case.file, description=case.description)
    with step(f"build the Bento of {name}@{version.version}"):
        build = client.builds.wait(client.builds.create(name, version=version.version).id)
    with step(f"deploy {build.tag}"):
        client.deployments.create(name, build_id=build.id)
        deployment = client.deployments.wait(name)
    return build, deployment


def exercise(client: Client, case: Case, build: Build, deployment: Deployment) -> Served:
    """Sends every input alone, then all in batches; both must give what the framework gives in process."""

    def ask(inputs: Inputs) -> InferenceResult:
        return client.infer(case.name, inputs, url=deployment.url)

    milliseconds: list[float] = []
    alone: list[InferenceResult] = []
    with step(f"infer {len(case.expected)} {case.unit} with {case.name}, one by one and in batches"):
        for inputs in case.singles:
            started = time.perf_counter()
            alone.append(ask(inputs))
            milliseconds.append((time.perf_counter() - started) * 1000)
        batched = [ask(inputs) for inputs in case.batches]
    got = joined(case, alone)
    difference = max(largest_difference(rows, case.expected) for rows in (got, joined(case, batched)))
    score = case.score(got)
    if difference > case.tolerance or score != case.score(case.expected):
        raise DemoFailed(f"{case.name}: {case.output!r} over HTTP differs from that in process, by up to {difference}.")
    return Served(
        case=case,
        build=build,
        score=score,
        difference=difference,
        milliseconds=milliseconds,
        digest=alone[0].digest or "",
    )


def joined(case: Case, results: Sequence[InferenceResult]) -> Array:
    """The compared output of several requests, one row per input."""
    return np.concatenate([result[case.output] for result in results])


def tamper(stack: LocalStack, served: Served, scratch: Path) -> str:
    """Flips one byte of a copy of the Bento's model and returns what ``bentoml serve`` says to it."""
    copy = scratch / "tampered"
    shutil.copytree(stack.bento(str(served.build.tag)), copy)
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
        env={**os.environ, "BENTOML_HOME": str(stack.home / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"},
    )
    refusal = next((line for line in run.stderr.splitlines() if "SIGN_004" in line), None)
    if run.returncode == 0 or refusal is None:
        raise DemoFailed(f"A tampered Bento was not refused (exit {run.returncode}):\n{run.stderr[-2000:]}")
    return f"exit {run.returncode}: {refusal.strip()}"


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


def run(scratch: Path, *, full: bool, around: Platform | None) -> None:
    """The whole story in ``scratch``.

    Args:
        scratch: An empty folder.
        full: Whether all-MiniLM-L6-v2 takes part.
        around: What the registry stands on; None: on what it has in itself.
    """
    home = scratch / "home"
    stack = LocalStack(home, registry_port=free_port(), settings=around.settings if around else None)
    try:
        with step("start the registry and its worker"):
            stack.start(lambda _: None)
        key = stack.admin_key if around is None else around.provider.service_token()
        with Client(stack.registry_url, api_key=key) as client:
            try:
                served = [exercise(client, case, *publish(client, case)) for case in cases(scratch, full=full)]
                with step("flip one byte of a stored model and serve it"):
                    refusal = tamper(stack, served[0], scratch)
            finally:
                with step("stop the deployments"):
                    stop_all(client)
        out = Console(width=130)
        out.print(table(served))
        out.print(f"$ bentoml list\n{bento_list(home)}", highlight=False)
        out.print(f"One byte flipped in the model of a Bento; `bentoml serve` says:\n  {refusal}", highlight=False)
        for found in around.contents() if around else ():
            out.print(found, highlight=False)
    finally:
        with step("stop the registry and its worker"):
            stack.stop()


def cases(scratch: Path, *, full: bool) -> Iterator[Case]:
    """Makes the models, each when it is asked for."""
    for train in (train_digits, train_wine):
        with step(f"{train.__name__.replace('_', ' ')} on scikit-learn's real data"):
            trained = train(scratch)
        talk.print(f"     accuracy on {len(trained.inputs)} held-out rows, in process: {trained.accuracy:.4f}")
        yield trained.case()
    if full:
        with step("load all-MiniLM-L6-v2 with torch, export it to ONNX, compare the two"):
            from deploy.local.minilm import export_minilm

            case = export_minilm(scratch)
        yield case


def stop_all(client: Client) -> None:
    """Stops every deployment and waits until it has stopped."""
    names = [deployment.name for deployment in client.deployments.list() if deployment.state != "stopped"]
    for name in names:
        client.deployments.stop(name)
    for name in names:
        client.deployments.wait(name)


@contextmanager
def _surroundings(scratch: Path) -> Iterator[Platform]:
    home = scratch / "platform"
    home.mkdir()
    with ExitStack() as running:
        with step("start PostgreSQL, Ceph, Redis, OpenBao and an OpenID provider"):
            around = running.enter_context(platform(home))
        yield around


def main() -> int:
    parser = argparse.ArgumentParser(description="The main job, end to end.")
    parser.add_argument("--full", action="store_true", help="also all-MiniLM-L6-v2, which needs torch")
    parser.add_argument("--platform", action="store_true", help="on PostgreSQL, Ceph, Redis, OpenBao and OpenID")
    options = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="furoshiki-demo-") as folder, ExitStack() as surroundings:
        try:
            around = surroundings.enter_context(_surroundings(Path(folder))) if options.platform else None
            run(Path(folder), full=options.full, around=around)
        except DemoFailed as error:
            talk.print(f"[red]{error}[/]")
            return 1
    talk.print(f"everything stopped; {time.perf_counter() - started:.0f} s in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
