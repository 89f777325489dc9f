# SPDX-License-Identifier: Apache-2.0
"""What the digits image weighs, and what a new version of its model costs: bytes that a real docker-registry receives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from artifacts.oci.layout import Layout
from artifacts.oci.reference import parse_reference
from artifacts.oci.registry import Registry
from artifacts.oci.shipping import Shipped, pull_whole, push_whole
from artifacts.oci.uploads import Way
from artifacts.signing.policy import Subject
from artifacts.signing.verifier import BundleVerifier
from artifacts.supply.modelpack import ARTIFACT_TYPE
from artifacts.supply.verification import verify_image
from core.clock import SystemClock
from deploy.local.components.docker_registry import DockerRegistry, docker_registry
from registry_api.images.builders.layers import LayersBuilder
from tests.integration.registry_api.images.conftest import FIGURES, Bento, Made, Workshop, describe

FEW_BYTES = 20_000
REPOSITORY = "acme/digits"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    """Empty."""
    with docker_registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


def push(made: Made, registry: DockerRegistry, tag: str, record: Callable[[str, object], None]) -> Shipped:
    """Pushes the image with everything attached to it, and notes what travelled."""

    async def pushed() -> Shipped:
        async with Registry(registry.host) as client:
            return await push_whole(made.layout, made.built.image, client.repository(REPOSITORY), tag=tag)

    shipped = asyncio.run(pushed())
    beside = sum(copied.sent for copied in shipped.attached)
    moved = f"{shipped.image.sent} bytes of the image, {beside} attached; {shipped.skipped} skipped"
    record(FIGURES, f"push of {tag}: {moved}")
    (pack,) = [copied for copied in shipped.attached if copied.descriptor.artifact_type == ARTIFACT_TYPE]
    record(FIGURES, f"model of {tag} as a ModelPack artifact: {pack.size + pack.descriptor.size} bytes more")
    assert pack.size + pack.descriptor.size < 2_000
    return shipped


def sent(shipped: Shipped) -> set[str]:
    """The blobs of the image that travelled."""
    return {digest for digest, way in shipped.image.ways.items() if way is Way.SENT}


def test_a_new_version_sends_its_model_layer_and_a_few_kilobytes(
    registry: DockerRegistry,
    workshop: Workshop,
    image: Made,
    bentos: list[Bento],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """Base, packages and code are there already; the same image once more sends nothing; what arrived verifies."""
    after = workshop.make(bentos[1], LayersBuilder())
    for made, bento in zip((image, after), bentos, strict=True):
        describe(made, bento)
    record_property(FIGURES, f"the digits image: {image.built.size} bytes compressed")
    first = push(image, registry, "1", record_property)
    assert first.image.sent == first.image.size
    second, third = (push(after, registry, "2", record_property) for _ in range(2))
    layers = {layer.name: layer.blob for layer in after.built.layers}
    config = after.layout.manifest(after.built.image).config
    assert sent(second) == {layers["model"].digest, layers["release"].digest, config.digest}
    assert second.image.sent - layers["model"].size == layers["release"].size + config.size < FEW_BYTES
    assert third.sent == 0

    pulled, reference = Layout.create(tmp_path / "pulled"), parse_reference(f"{registry.host}/{REPOSITORY}:2")

    async def pull() -> Shipped:
        async with Registry(registry.host) as client:
            return await pull_whole(client.repository(REPOSITORY), reference, pulled)

    arrived, verifier = asyncio.run(pull()).image.descriptor, BundleVerifier(bentos[1].policy, SystemClock())
    verified = verify_image(pulled, arrived, verifier, Subject(tenant="default", model="digits", version=2))
    assert verified.image == after.built.image.digest
