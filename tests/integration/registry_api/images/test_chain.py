# SPDX-License-Identifier: Apache-2.0
"""The whole way of an image: base, Bento, image, signed, pushed to a real docker-registry, pulled, verified, run, stopped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx
import numpy as np
import onnxruntime
import pytest
from sklearn.datasets import load_digits

from artifacts.digest import hex_of
from artifacts.oci.layout import Layout
from artifacts.oci.reference import parse_reference
from artifacts.oci.registry import Registry
from artifacts.oci.shipping import Shipped, pull_whole, push_whole
from artifacts.signing.policy import Subject
from artifacts.signing.verifier import BundleVerifier
from artifacts.stores.testing import refused
from artifacts.supply.verification import verify_image
from core.clock import SystemClock
from core.errors import ErrorCode
from deploy.local.components.docker_registry import DockerRegistry, docker_registry
from deploy.local.train import INPUT, Trained
from registry_api.deployments.logs import last_lines
from registry_api.deployments.podman.engine import Engine
from registry_api.deployments.podman.target import PodmanOptions, PodmanTarget
from registry_api.deployments.target import Launch
from registry_api.deployments.values import AuthMode
from tests.integration.registry_api.images.conftest import BUILDERS, FIGURES, Bento, Made, describe

REPOSITORY = "acme/digits"
READY_SECONDS = 60.0
SUBJECT = Subject(tenant="default", model="digits", version=1)


@dataclass
class Row:
    """What one way took: seconds by step, megabytes by place."""

    builder: str
    figures: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Notes the time of a step."""
        started = time.monotonic()
        yield
        self.figures[f"{step} s"] = f"{time.monotonic() - started:.1f}"


@pytest.fixture
def row(builder: str, record_property: Callable[[str, object], None]) -> Iterator[Row]:
    """Printed at the end of the run, as a table of two lines."""
    row = Row(builder)
    yield row
    shown = {"builder": builder, **row.figures}
    widths = {name: max(len(name), len(value)) for name, value in shown.items()}
    record_property(FIGURES, "  ".join(name.ljust(widths[name]) for name in shown))
    record_property(FIGURES, "  ".join(value.ljust(widths[name]) for name, value in shown.items()))


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[DockerRegistry]:
    """Empty."""
    with docker_registry(tmp_path / "registry") as server:
        yield server


async def _push(made: Made, host: str) -> Shipped:
    async with Registry(host) as client:
        return await push_whole(made.layout, made.built.image, client.repository(REPOSITORY), tag="1")


async def _pull(host: str, digest: str, target: Layout) -> Shipped:
    async with Registry(host) as client:
        reference = parse_reference(f"{host}/{REPOSITORY}@{digest}")
        return await pull_whole(client.repository(REPOSITORY), reference, target)


def _ready(target: PodmanTarget, launch: Launch, url: str, pid: int) -> None:
    end = time.monotonic() + READY_SECONDS
    while True:
        assert target.alive(launch.run, pid), last_lines(launch.logs)
        if target.answers(launch.run, url):
            reply = httpx.get(f"{url}/v2/health/ready", trust_env=False)
            if reply.status_code == httpx.codes.OK:
                return
        assert time.monotonic() < end, last_lines(launch.logs)
        time.sleep(0.05)


def _every_row_is_answered_as_in_process(url: str, trained: Trained) -> int:
    rows = load_digits().data.astype(np.float32)
    session = onnxruntime.InferenceSession(trained.file, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    expected = dict(zip(names, session.run(names, {INPUT: rows}), strict=True))
    asked = {"name": INPUT, "datatype": "FP32", "shape": list(rows.shape), "data": rows.ravel().tolist()}
    body = {"inputs": [asked], "outputs": [{"name": name} for name in names]}
    reply = httpx.post(f"{url}/v2/models/digits/infer", json=body, trust_env=False, timeout=30.0)
    assert reply.status_code == 200, reply.text
    answered = {output["name"]: np.array(output["data"]).reshape(output["shape"]) for output in reply.json()["outputs"]}
    assert np.array_equal(answered["label"], expected["label"])
    for name in names:
        assert np.allclose(answered[name], expected[name], rtol=0, atol=1e-6), name
    return len(rows)


@pytest.fixture
def made(builder: str, request: pytest.FixtureRequest, bento: Bento) -> Made:
    """The signed image."""
    made: Made = request.getfixturevalue("image" if builder == "layers" else "by_buildah")
    describe(made, bento)
    return made


@pytest.fixture
def deployment() -> str:
    """Its id."""
    return uuid4().hex


@pytest.fixture
def target(tmp_path: Path, deployment: str) -> Iterator[PodmanTarget]:
    """podman; whatever it runs is ended."""
    (tmp_path / "trust").mkdir()
    options = PodmanOptions(
        folder=tmp_path / "deployments",
        home=tmp_path / "podman",
        trust_dir=tmp_path / "trust",
        registry_url="http://127.0.0.1:9",
    )
    target = PodmanTarget(options)
    yield target
    target.end_all(deployment)


def _comes_back(made: Made, registry: DockerRegistry, folder: Path, row: Row) -> Layout:
    """Pushes the image with all that is attached to it, and pulls it by digest into a new layout."""
    digest = made.built.image.digest
    with row.timed("push"):
        pushed = asyncio.run(_push(made, registry.host))
    with row.timed("pull"):
        pulled = asyncio.run(_pull(registry.host, digest, Layout.create(folder)))
    row.figures["sent MB"] = f"{pushed.sent / 1e6:.1f}"
    assert pulled.image.descriptor.digest == digest
    return Layout.open(folder)


def _verifies(made: Made, layout: Layout, verifier: BundleVerifier, row: Row) -> None:
    """Down to the uploaded file; refused with one bit of a copy of the model's layer flipped."""
    with row.timed("verify"):
        verified = verify_image(layout, made.built.image, verifier, SUBJECT)
    print("\n" + "\n".join(verified.lines()))
    assert verified.packages > 100
    assert verified.provenance.builder == made.built.builder
    assert [entry.path for entry in verified.chain.uploaded] == ["model.onnx"]
    model = next(layer.blob for layer in made.built.layers if layer.name == "model")
    blob = layout.root / "blobs" / "sha256" / hex_of(model.digest)
    data = blob.read_bytes()
    middle = len(data) // 2
    blob.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    with refused(ErrorCode.DIGEST_MISMATCH, model.digest):
        verify_image(layout, made.built.image, verifier, SUBJECT)
    blob.write_bytes(data)


def _runs(target: PodmanTarget, engine: Engine, launch: Launch, trained: Trained, row: Row) -> None:
    """By digest, as nonroot; every row as in process; it ends with status 0, and nothing is left."""
    with row.timed("unpack"):
        started = target.start(launch)
    with row.timed("ready"):
        _ready(target, launch, started.url, started.pid)
    with row.timed("infer"):
        row.figures["rows"] = str(_every_row_is_answered_as_in_process(started.url, trained))
    (name,) = engine.containers()
    assert engine.run("top", name, "user").split()[1:] == ["nonroot"] * 2
    assert str(launch.image) in engine.run("inspect", "--format", "{{.ImageName}}", name)
    with row.timed("stop"):
        engine.run("stop", "--time", "30", name)
    assert engine.run("inspect", "--format", "{{.State.ExitCode}}", name).strip() == "0"
    target.end_run(launch.run, started.pid)
    assert (target.runs(), engine.containers()) == ({}, ())


@pytest.mark.parametrize("builder", BUILDERS)
def test_from_the_base_to_an_answer(
    made: Made,
    row: Row,
    bento: Bento,
    trained: Trained,
    registry: DockerRegistry,
    target: PodmanTarget,
    deployment: str,
    tmp_path: Path,
) -> None:
    """What comes back by digest verifies, runs and answers every row as in process; damaged it is refused: SIGN_004."""
    (tmp_path / "trust" / "default.json").write_bytes(bento.policy.to_bytes())
    row.figures |= {"image MB": f"{made.built.size / 1e6:.1f}", "build s": f"{sum(made.built.seconds.values()):.1f}"}
    run = uuid4().hex
    folder = tmp_path / "deployments" / deployment / run
    folder.mkdir(parents=True)
    launch = Launch(deployment_id=deployment, run=run, folder=folder, auth=AuthMode.OPEN, image=made.built.image.digest)
    layout = _comes_back(made, registry, launch.layout, row)
    _verifies(made, layout, BundleVerifier(bento.policy, SystemClock()), row)
    _runs(target, Engine(tmp_path / "podman"), launch, trained, row)
