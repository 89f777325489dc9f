# SPDX-License-Identifier: Apache-2.0
"""Images of a real Bento: by Python alone and by the real buildah, run by the real podman."""

from __future__ import annotations

import gzip
import json
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pytest

from artifacts.oci.layout import Layout
from artifacts.signing.policy import Subject
from artifacts.signing.verifier import BundleVerifier
from artifacts.stores.testing import refused
from artifacts.supply.describing import Making, describe_image
from artifacts.supply.modelpack import ARTIFACT_TYPE, put_model_pack
from artifacts.supply.verification import verify_image
from core.clock import SystemClock
from core.errors import ErrorCode
from deploy.local.components.podman import Podman
from deploy.local.stack import free_port
from deploy.local.train import INPUT, Trained
from registry_api.images.builders.buildah import BuildahBuilder
from registry_api.images.builders.layers import LayersBuilder
from registry_api.jobs.process import INSTALLATION
from tests.integration.registry_api.images.conftest import AMD64, SECRET, Bento, Made, Workshop


@pytest.fixture(scope="module")
def by_buildah(workshop: Workshop, bento: Bento) -> Made:
    """The digits image, built by buildah."""
    return workshop.make(bento, BuildahBuilder())


def test_the_same_bento_gives_the_same_digest(workshop: Workshop, image: Made, bento: Bento) -> None:
    """Built again from the wheels alone, and again from the cache, bit for bit."""
    shutil.rmtree(workshop.cache / "layers")
    shutil.rmtree(workshop.cache / "dependencies")
    fresh = workshop.make(bento, LayersBuilder())
    cached = workshop.make(bento, LayersBuilder())
    assert [layer.cached for layer in fresh.built.layers] == [False] * 5
    assert [layer.cached for layer in cached.built.layers] == [False, True, False, False, False]
    assert fresh.built.image == cached.built.image == image.built.image


def test_the_next_version_is_a_model_layer_and_little_more(
    workshop: Workshop, image: Made, bentos: list[Bento]
) -> None:
    """What has to be uploaded after a model change: its layer and a few kilobytes; the packages are not installed again."""
    after = workshop.make(bentos[1], LayersBuilder())
    known = {layer.blob.digest for layer in image.built.layers}
    new = {layer.name: layer.blob.size for layer in after.built.layers if layer.blob.digest not in known}
    manifest = after.layout.manifest(after.built.image)
    rest = new["release"] + manifest.config.size + after.built.image.size
    print(f"\nafter a model change: model layer {new['model']} bytes, and {rest} bytes more, of {after.built.size}")
    assert new.keys() == {"release", "model"}
    assert rest < 20_000


@pytest.mark.parametrize("builder", ["layers", "buildah"])
def test_an_image_serves_as_its_bento_does(
    builder: str, request: pytest.FixtureRequest, trained: Trained, engine: Podman
) -> None:
    """From the layout, as nonroot on a read-only root without capabilities: every label as in process, then a clean end."""
    made: Made = request.getfixturevalue("image" if builder == "layers" else "by_buildah")
    started = time.monotonic()
    taken = engine.pull(made.layout.root, "image")
    pulled, port = time.monotonic(), free_port()
    settings = {"BENTOML_HOST": "127.0.0.1", "BENTOML_PORT": str(port), "FUROSHIKI_AUTH__MODE": "open"}
    with engine.serving(taken, settings, port=port) as container:
        ready = time.monotonic()
        asked = {"name": INPUT, "datatype": "FP32", "shape": list(trained.inputs.shape)}
        body = {"inputs": [{**asked, "data": trained.inputs.ravel().tolist()}]}
        reply = httpx.post(f"http://127.0.0.1:{port}/v2/models/digits/infer", json=body, trust_env=False)
        assert reply.status_code == 200, reply.text
        outputs = {output["name"]: output["data"] for output in reply.json()["outputs"]}
        assert engine.run("top", container, "user").split()[1:] == ["nonroot"] * 2
        stopping = time.monotonic()
        status = engine.stop(container)
    ended = time.monotonic()
    print(
        f"\n{builder}: pull {pulled - started:.1f} s, ready {ready - pulled:.1f} s, stop {ended - stopping:.1f} s; "
        f"{len(trained.predicted)} labels equal"
    )
    assert np.array_equal(np.array(outputs["label"]), trained.predicted)
    assert status == 0


def test_python_in_the_image_is_whole(image: Made, engine: Podman) -> None:
    """The parts of Python that packages need are there, and nothing can be written but /tmp."""
    code = (
        "import bz2,ctypes,decimal,hashlib,json,lzma,multiprocessing,os,sqlite3,ssl,uuid,zlib,zoneinfo;"
        "zoneinfo.ZoneInfo('Europe/Berlin');"
        "print(json.dumps([os.getuid(), os.access('/', os.W_OK), os.access('/home/bentoml/bento', os.W_OK),"
        "os.access('/tmp', os.W_OK), ssl.create_default_context().cert_store_stats()['x509_ca'] > 100]))"
    )
    assert json.loads(engine.python(engine.pull(image.layout.root, "image"), code)) == [65532, False, False, True, True]


@pytest.mark.parametrize("builder", ["layers", "buildah"])
def test_no_secret_is_in_any_layer(builder: str, request: pytest.FixtureRequest, workshop: Workshop) -> None:
    """Neither what the environment of the build held, nor this machine's folders, nor its certificates."""
    made: Made = request.getfixturevalue("image" if builder == "layers" else "by_buildah")
    unwanted = [SECRET.encode(), str(workshop.root).encode(), str(INSTALLATION).encode()]
    for layer in made.built.layers:
        with made.layout.open_blob(layer.blob) as file, gzip.open(file) as plain:
            tail = b""
            while piece := plain.read(1 << 24):
                data = tail + piece
                assert not [found for found in unwanted if found in data], layer.name
                tail = data[-256:]
    manifest = made.layout.manifest(made.built.image)
    assert not [found for found in unwanted if found in made.layout.read_blob(manifest.config)]


def _describe(made: Made, bento: Bento) -> None:
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
    describe_image(made.layout, made.built.image, making, bento.signer)


@pytest.mark.parametrize("builder", ["layers", "buildah"])
def test_an_image_verifies_back_to_the_uploaded_file(
    builder: str, request: pytest.FixtureRequest, bento: Bento, tmp_path: Path
) -> None:
    """Signature, SBOM with Debian's packages, provenance and chain; after one bit of the model's layer flipped, SIGN_004."""
    made: Made = request.getfixturevalue("image" if builder == "layers" else "by_buildah")
    started = time.monotonic()
    _describe(made, bento)
    described, verifier = time.monotonic(), BundleVerifier(bento.policy, SystemClock())
    subject = Subject(tenant="default", model="digits", version=1)
    verified = verify_image(made.layout, made.built.image, verifier, subject)
    print(f"\n{builder}: described in {described - started:.1f} s, verified in {time.monotonic() - described:.1f} s")
    print("\n".join(verified.lines()))
    assert verified.packages > 100
    assert verified.provenance.builder == builder
    assert [entry.path for entry in verified.chain.uploaded] == ["model.onnx"]

    copy = tmp_path / "layout"
    shutil.copytree(made.layout.root, copy)
    model = next(layer.blob for layer in made.built.layers if layer.name == "model")
    blob = copy / "blobs" / "sha256" / model.digest.removeprefix("sha256:")
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)
    with refused(ErrorCode.DIGEST_MISMATCH, model.digest):
        verify_image(Layout.open(copy), made.built.image, verifier, subject)


def test_the_model_is_an_artifact_of_its_own(image: Made, bento: Bento) -> None:
    """ModelPack: the image's model layer, the same blob, under the specification's media types."""
    layer = image.built.layers[-1]
    inside = replace(bento.manifest, kind="model", parent=None)
    pack = put_model_pack(image.layout, inside, layer.blob, diff_id=layer.diff_id)
    manifest = image.layout.manifest(pack)
    config = json.loads(image.layout.read_blob(manifest.config))
    assert (manifest.artifact_type, manifest.layers[0].digest) == (ARTIFACT_TYPE, layer.blob.digest)
    assert config["descriptor"]["name"] == "default/digits"
    assert config["modelfs"] == {"type": "layers", "diffIds": [layer.diff_id]}
