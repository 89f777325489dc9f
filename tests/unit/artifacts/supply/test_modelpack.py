# SPDX-License-Identifier: Apache-2.0
"""The model of an image as a ModelPack artifact: what it says, where it lies, and that no check takes it for more."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from artifacts.oci.attached import attached_in
from artifacts.oci.layout import Descriptor, ImageManifest
from artifacts.oci.shipping import image_in
from artifacts.stores.testing import refused
from artifacts.supply.contents import diff_ids
from artifacts.supply.describing import describe_image
from artifacts.supply.modelpack import (
    ARTIFACT_TYPE,
    CONFIG_TYPE,
    FILEPATH,
    MODEL_PATH,
    WEIGHT_TYPE,
    put_model_pack,
)
from artifacts.supply.testing import Described, make_image
from artifacts.testing import CREATED, make_manifest
from core.clock import rfc3339
from core.errors import ErrorCode


@pytest.fixture
def described(tmp_path: Path) -> Described:
    """An image whose model is a layer of its own, with the artifact."""
    return make_image(tmp_path / "layout", packed=True)


def packs(described: Described) -> list[tuple[Descriptor, ImageManifest]]:
    """The ModelPack artifacts beside the image."""
    found = attached_in(described.layout, described.image.digest)
    return [(entry, manifest) for entry, manifest in found if manifest.artifact_type == ARTIFACT_TYPE]


def config_of(described: Described, manifest: ImageManifest) -> Any:
    """What an artifact says of its model."""
    return json.loads(described.layout.read_blob(manifest.config))


def test_the_layer_of_the_model_is_attached_as_it_is(described: Described) -> None:
    """One artifact whose one layer is the image's last, under the types of the specification."""
    ((entry, pack),) = packs(described)
    manifest = described.layout.manifest(described.image)
    model = manifest.layers[-1]
    assert (entry.artifact_type, pack.subject, pack.config.media_type) == (
        ARTIFACT_TYPE,
        described.image.content,
        CONFIG_TYPE,
    )
    assert [(layer.media_type, layer.digest, layer.size) for layer in pack.layers] == [
        (WEIGHT_TYPE, model.digest, model.size)
    ]
    assert pack.layers[0].annotations == {FILEPATH: MODEL_PATH}
    assert config_of(described, pack)["modelfs"] == {
        "type": "layers",
        "diffIds": [diff_ids(described.layout, manifest)[-1]],
    }
    assert entry.size + pack.config.size < 2_000


def test_it_says_which_model_it_is(described: Described) -> None:
    """Name, version and digest of the bundle inside, which is what its signature is of."""
    ((_, pack),) = packs(described)
    said = config_of(described, pack)
    assert said.keys() == {"descriptor", "config", "modelfs"}
    assert said["descriptor"] == {
        "createdAt": rfc3339(CREATED),
        "name": "acme/digits",
        "version": "3",
        "revision": described.bento.parent,
    }
    assert said["config"] == {"format": "onnx", "precision": "fp32"}


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("onnx-fp16/cpu", {"precision": "fp16"}),
        ("onnx-int8/cpu", {"precision": "int8", "quantization": "int8"}),
        ("onnx-int8dyn/cpu", {"precision": "int8", "quantization": "int8dyn"}),
        ("onnx-int8w16a/edge", {"precision": "mixed", "quantization": "int8w16a"}),
    ],
)
def test_precision_and_quantization_follow_the_variant(
    described: Described, variant: str, expected: dict[str, str]
) -> None:
    """What it computes in, and how that was made."""
    entry = put_model_pack(described.layout, described.image, make_manifest(variant=variant))
    assert entry is not None
    said = config_of(described, described.layout.manifest(entry))
    assert said["config"] == {"format": "onnx", **expected}


def test_describing_again_gives_the_same_artifact(described: Described, tmp_path: Path) -> None:
    """It depends on image and bundle alone; the layout still holds one image."""
    ((entry, _),) = packs(described)
    again = describe_image(described.layout, described.image, described.making, described.signer)
    assert again == entry
    assert len(packs(described)) == 1
    assert image_in(described.layout).digest == described.image.digest


def test_an_image_without_a_layer_of_the_model_gets_none(tmp_path: Path) -> None:
    """Such as those that BentoML builds: the layer with the model holds the rest of the Bento too."""
    described = make_image(tmp_path / "layout")
    assert describe_image(described.layout, described.image, described.making, described.signer) is None
    assert packs(described) == []


def test_a_strangers_artifact_changes_nothing_about_a_yes(described: Described) -> None:
    """Neither ours, nor one of another model, nor one of no layer of the image is part of the answer."""
    before = described.verify()
    other = make_manifest(model="other")
    assert put_model_pack(described.layout, described.image, other) is not None
    foreign = described.layout.put_bytes(b"another model", media_type=WEIGHT_TYPE)
    pack = packs(described)[0][1]
    described.layout.put_manifest(replace(pack, layers=(foreign,)))
    assert len(packs(described)) == 3
    assert described.verify() == before
    for entry, _ in packs(described):
        described.layout.remove(entry.digest)
    assert described.verify() == before


def test_the_artifact_lends_its_model_to_no_other_image(described: Described) -> None:
    """A model layer that was changed is refused, though the artifact beside the image names the right one."""
    described.flip(described.layout.manifest(described.image).layers[-1])
    with refused(ErrorCode.DIGEST_MISMATCH):
        described.verify()
