# SPDX-License-Identifier: Apache-2.0
"""The words of images: they name what there is."""

from __future__ import annotations

from registry_api.images.builders.bases.recipe import RECIPES
from registry_api.images.builders.choosing import AUTO, BUILDERS
from registry_api.images.values import BuilderName, DeviceClass, ImageBlob, MadeImage


def test_every_builder_can_be_asked_for() -> None:
    """And ``auto``."""
    assert {name.value for name in BuilderName} == {AUTO, *BUILDERS}


def test_every_device_class_has_a_recipe() -> None:
    """And every recipe is a device class."""
    assert {device.value for device in DeviceClass} == {path.stem for path in RECIPES.glob("*.toml")}


def test_a_made_image_finds_its_blobs() -> None:
    """Layers by their name, the index by its media type, any blob by its digest."""
    layer = ImageBlob(digest="sha256:" + "1" * 64, size=1, media_type="a/layer", layer="model")
    config = ImageBlob(digest="sha256:" + "2" * 64, size=2, media_type="a/config")
    index = ImageBlob(digest="sha256:" + "3" * 64, size=3, media_type="application/vnd.oci.image.index.v1+json")
    made = MadeImage(
        digest="sha256:" + "4" * 64,
        size=4,
        compressed_bytes=1,
        base="sha256:" + "5" * 64,
        builder="layers",
        builder_version="1",
        reason="asked for",
        platform="linux/amd64",
        key_id="key",
        blobs=(layer, config, index),
    )
    assert (made.layers, made.index, made.blob(config.digest)) == ((layer,), index, config)
    assert made.blob(made.digest) is None
    assert (made.descriptor.digest, made.descriptor.size) == (made.digest, 4)
