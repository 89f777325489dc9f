# SPDX-License-Identifier: Apache-2.0
"""One real Bento of a trained model, one real base image and one cache, for all tests of this folder.

Several processes may run the tests: base image and wheels are made once for all of them.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp

import onnx
import pytest

from artifacts.manifest import MANIFEST_NAME, SIGNATURE_NAME, Manifest
from artifacts.oci.layout import Descriptor, Layout, Platform
from artifacts.signing.interface import Signer
from artifacts.signing.policy import Subject, TrustPolicy
from artifacts.signing.verifier import BundleVerifier
from artifacts.source import DirectorySource
from artifacts.supply.chain import SignedManifest
from artifacts.supply.describing import Making, describe_image
from core.clock import SystemClock
from deploy.local.components.podman import Podman
from deploy.local.components.podman import podman as running_podman
from deploy.local.train import Trained, train_digits
from registry_api.builds.archive import unpack
from registry_api.images.builders.bases.making import make_base
from registry_api.images.builders.bases.recipe import read_recipe
from registry_api.images.builders.buildah import BuildahBuilder
from registry_api.images.builders.interface import Base, BuildRequest, BuiltImage, ImageBuilder
from registry_api.images.builders.layers import LayersBuilder
from registry_api.images.builders.wheels import fetch_wheels
from registry_api.settings.worker import WorkerSettings
from tests.integration.registry_api.bench import Bench, open_bench

AMD64 = Platform(architecture="amd64")
BUILDERS = [
    pytest.param("layers", marks=pytest.mark.xdist_group("layers")),
    pytest.param("buildah", marks=pytest.mark.xdist_group("buildah")),
]


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Tests of one builder's image stay in one process, because each process makes the image anew."""
    for item in items:
        uses_image = "bentos" in getattr(item, "fixturenames", ()) and item.path.parent == Path(__file__).parent
        if uses_image and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group("layers"))


FIGURES = "figures"  # name of the property that tests record what is printed at the end of the run by
SECRET = "hvs.c2VjcmV0LW9mLXRoZS13b3JrZXI"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints times and sizes that tests recorded."""
    ended = (each for each in terminalreporter.getreports("") if isinstance(each, pytest.TestReport))
    recorded = [each.user_properties for each in ended if each.when == "teardown"]
    lines = [str(value) for properties in recorded for name, value in properties if name == FIGURES]
    if lines:
        terminalreporter.section("images")
    for line in lines:
        terminalreporter.line(line)


@dataclass(frozen=True, kw_only=True)
class Bento:
    """A Bento that a registry built."""

    folder: Path  # verified; manifest.json and model.sig lie in it too
    manifest: Manifest
    policy: TrustPolicy
    signer: Signer

    @property
    def signed(self) -> SignedManifest:
        """As the registry keeps it."""
        return SignedManifest(
            manifest=(self.folder / MANIFEST_NAME).read_bytes(), signature=(self.folder / SIGNATURE_NAME).read_bytes()
        )

    @property
    def model(self) -> SignedManifest:
        """That of the bundle inside."""
        inside = self.folder / "src" / "model"
        return SignedManifest(
            manifest=(inside / MANIFEST_NAME).read_bytes(), signature=(inside / SIGNATURE_NAME).read_bytes()
        )


@dataclass(frozen=True, kw_only=True)
class Made:
    """An image, and the layout it is in under the tag ``image``."""

    built: BuiltImage
    layout: Layout


@dataclass(kw_only=True)
class Workshop:
    """Makes images, with a secret in the environment, a wheel cache for all and a layer cache."""

    base: Base
    root: Path
    cache: Path  # what is kept between builds

    def make(self, bento: Bento, builder: ImageBuilder) -> Made:
        """Builds, and prints what became of it."""
        folder = Path(mkdtemp(dir=self.root))
        layout = Layout.create(folder / "layout")
        request = BuildRequest(
            bento=bento.folder,
            manifest=bento.manifest,
            base=self.base,
            platform=AMD64,
            scratch=folder,
            cache=self.cache,
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FUROSHIKI_VAULT__TOKEN", SECRET)
            patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
            with (self.cache / "wheels.lock").open("ab") as turn:
                fcntl.flock(turn, fcntl.LOCK_EX)
                fetch_wheels(request, print)
            built = builder.build(request, layout, lambda _line: None)
        layout.add(built.image, tag="image")
        shown = ", ".join(f"{layer.name} {layer.blob.size / 1e6:.3f}" for layer in built.layers)
        print(f"\n{built.builder}: {built.size / 1e6:.1f} MB ({shown}), {dict(built.seconds)} s, {built.image.digest}")
        return Made(built=built, layout=layout)


def describe(made: Made, bento: Bento) -> Descriptor | None:
    """Signs the image and lays beside it what is said of it; its model as an artifact of its own."""
    now = datetime.now(UTC)
    making = Making(
        bento=bento.signed,
        models=[bento.model],
        base=made.built.base,
        platform=str(AMD64),
        builder=made.built.builder,
        builder_version=made.built.builder_version,
        invocation="job",
        started=now,
        finished=now,
    )
    return describe_image(made.layout, made.built.image, making, bento.signer)


async def _fetch(bench: Bench, path: str, target: Path) -> None:
    reply = await bench.api.http.get(f"/api/v1{path}")
    assert reply.is_success, reply.text
    await asyncio.to_thread(target.write_bytes, reply.content)


async def _bentos(home: Path, model: bytes) -> list[Bento]:
    """Bentos of two versions of one model; the second differs in what it says of its producer."""
    bentos = []
    other = onnx.load_from_string(model)
    other.producer_version = "2"
    async with open_bench(home, WorkerSettings()) as bench:
        await bench.api.ok("POST", "/models", json={"name": "digits"})
        for number, data in enumerate((model, other.SerializeToString()), start=1):
            await bench.api.push("digits", {"model.onnx": data})
            async with bench.working():
                build = await bench.build(version=number)
            assert build["state"] == "succeeded", build
            archive, folder = home / f"{number}.tar", home / f"bento-{number}"
            await _fetch(bench, f"/builds/{build['id']}/bento", archive)
            unpack(archive, folder, max_files=2000, max_bytes=1 << 30)
            await _fetch(bench, f"/builds/{build['id']}/manifest", folder / MANIFEST_NAME)
            await _fetch(bench, f"/builds/{build['id']}/signature", folder / SIGNATURE_NAME)
            keys = bench.api.platform.keys
            policy = keys.policy("default")
            verified = BundleVerifier(policy, SystemClock()).verify(
                DirectorySource(folder), subject=Subject(tenant="default", model="digits", kind="bento"), retain=False
            )
            signer = keys.signer("default")
            bentos.append(Bento(folder=folder, manifest=verified.manifest, policy=policy, signer=signer))
    return bentos


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The digits model, with rows it has never seen."""
    return train_digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="session")
def bentos(tmp_path_factory: pytest.TempPathFactory, trained: Trained) -> list[Bento]:
    """Of two versions of the digits model."""
    return asyncio.run(_bentos(tmp_path_factory.mktemp("registry"), trained.file.read_bytes()))


@pytest.fixture(scope="session")
def bento(bentos: list[Bento]) -> Bento:
    """Of the first version."""
    return bentos[0]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this test run, whichever process runs the test."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def base(shared: Path) -> Base:
    """The base image for processors, made of Debian packages."""
    return make_base(read_recipe("cpu"), shared / "bases", architecture="amd64", tell=print)


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory, shared: Path, base: Base) -> Workshop:
    """Makes images on the base."""
    (shared / "cache").mkdir(exist_ok=True)
    return Workshop(base=base, root=tmp_path_factory.mktemp("workshop"), cache=shared / "cache")


@pytest.fixture(scope="session")
def image(workshop: Workshop, bento: Bento) -> Made:
    """The digits image, written layer by layer."""
    return workshop.make(bento, LayersBuilder())


@pytest.fixture(scope="session")
def by_buildah(workshop: Workshop, bento: Bento) -> Made:
    """The digits image, built by buildah."""
    return workshop.make(bento, BuildahBuilder())


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """podman."""
    with running_podman(tmp_path_factory.mktemp("podman") / "home") as engine:
        yield engine
