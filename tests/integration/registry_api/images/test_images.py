# SPDX-License-Identifier: Apache-2.0
"""What images of a real Bento hold, written by Python alone and built by the real buildah."""

from __future__ import annotations

import gzip
import json
import shutil
import tarfile

import pytest

from artifacts.manifest import MANIFEST_NAME, SIGNATURE_NAME
from artifacts.supply.modelpack import ARTIFACT_TYPE, MODEL_PATH
from deploy.local.components.podman import Podman
from registry_api.images.builders.bases.making import TAG
from registry_api.images.builders.interface import Base
from registry_api.images.builders.layers import LayersBuilder
from registry_api.jobs.process import INSTALLATION
from tests.integration.registry_api.images.conftest import BUILDERS, SECRET, Bento, Made, Workshop, describe


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


def test_python_in_images_is_whole(base: Base, engine: Podman) -> None:
    """The parts of Python that packages need are in the base, and nothing can be written but /tmp."""
    code = (
        "import bz2,ctypes,decimal,hashlib,json,lzma,multiprocessing,os,sqlite3,ssl,uuid,zlib,zoneinfo;"
        "zoneinfo.ZoneInfo('Europe/Berlin');"
        "print(json.dumps([os.getuid(), os.access('/', os.W_OK), os.access('/home/bentoml/bento', os.W_OK),"
        "os.access('/tmp', os.W_OK), ssl.create_default_context().cert_store_stats()['x509_ca'] > 100]))"
    )
    assert json.loads(engine.python(engine.pull(base.layout.root, TAG), code)) == [65532, False, False, True, True]


@pytest.mark.parametrize("builder", BUILDERS)
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


@pytest.mark.parametrize("builder", BUILDERS)
def test_the_model_is_an_artifact_of_its_own(builder: str, request: pytest.FixtureRequest, bento: Bento) -> None:
    """ModelPack: the image's model layer, the same blob, under the specification's media types, attached to the image."""
    made: Made = request.getfixturevalue("image" if builder == "layers" else "by_buildah")
    pack = describe(made, bento)
    assert pack is not None
    manifest, layer = made.layout.manifest(pack), made.built.layers[-1]
    assert manifest.subject == made.built.image.content
    assert (manifest.artifact_type, manifest.layers[0].digest) == (ARTIFACT_TYPE, layer.blob.digest)
    assert pack.size + manifest.config.size < 2_000
    config = json.loads(made.layout.read_blob(manifest.config))
    assert (config["descriptor"]["name"], config["descriptor"]["revision"]) == ("default/digits", bento.manifest.parent)
    assert config["modelfs"] == {"type": "layers", "diffIds": [layer.diff_id]}
    with made.layout.open_blob(manifest.layers[0]) as file, tarfile.open(fileobj=file, mode="r:gz") as tar:
        held = {member.name for member in tar if member.isfile()}
    assert held > {f"{MODEL_PATH}/{MANIFEST_NAME}", f"{MODEL_PATH}/{SIGNATURE_NAME}"}
    assert not [path for path in held if not path.startswith(f"{MODEL_PATH}/")]
    assert describe(made, bento) == pack
