# SPDX-License-Identifier: Apache-2.0
"""What is attached to an image in a real registry without the referrers API, by several writers at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

from artifacts.oci.attach import Attachment, Piece, attach, fallback_tag, fetch_attached, referrers
from artifacts.oci.attached import pull_attached, push_attached
from artifacts.oci.copying import pull, push
from artifacts.oci.cosign import CosignKind, add_layers, cosign_tag, list_layers
from artifacts.oci.layout import Descriptor
from artifacts.oci.registry import Registry
from artifacts.signing.verifier import BundleVerifier
from artifacts.supply.testing import make_image
from artifacts.supply.verification import verify_image
from core.clock import ManualClock
from deploy.local.components.docker_registry import DockerRegistry
from tests.integration.artifacts.oci.conftest import OPEN
from tests.unit.artifacts.oci.images import empty_layout, image

SBOM = "application/vnd.cyclonedx+json"
SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
WRITERS = 4


async def pushed(registry: DockerRegistry, folder: Path) -> tuple[str, Descriptor]:
    """A new repository with one image."""
    name, layout = f"attach/{uuid4().hex}", empty_layout(folder)
    written = image(layout, [b"layer"])
    async with Registry(registry.host, OPEN) as client:
        await push(layout, written, client.repository(name), tag="v1")
    return name, written


async def test_a_signed_image_goes_to_a_registry_and_comes_back_signed(
    registry: DockerRegistry, tmp_path: Path
) -> None:
    """Signature, SBOM and provenance come along, and everything verifies where it arrives."""
    made, arrived = make_image(tmp_path / "made"), empty_layout(tmp_path / "arrived")
    async with Registry(registry.host, OPEN) as client:
        repository = client.repository(f"attach/{uuid4().hex}")
        await push(made.layout, made.image, repository, tag="v3")
        there = await push_attached(made.layout, made.image.digest, repository)
        pulled = await pull(repository, "v3", arrived)
        here = await pull_attached(repository, made.image.digest, arrived)
    assert {each.descriptor.digest for each in there} == {each.descriptor.digest for each in here} != set()
    verifier = BundleVerifier(made.policy, ManualClock())
    assert verify_image(arrived, pulled.descriptor, verifier, made.subject).image == made.image.digest


async def test_referrers_of_several_writers_are_all_listed(registry: DockerRegistry, tmp_path: Path) -> None:
    """Each writer has a client of its own, as several processes have."""
    name, subject = await pushed(registry, tmp_path)

    async def write(number: int) -> None:
        piece = Piece(media_type=SBOM, data=b"bom %d" % number)
        async with Registry(registry.host, OPEN) as client:
            await attach(client.repository(name), subject, [Attachment(artifact_type=SBOM, pieces=(piece,))])

    await asyncio.gather(*(write(number) for number in range(WRITERS)))
    async with Registry(registry.host, OPEN) as client:
        repository = client.repository(name)
        found = await referrers(repository, subject.digest, artifact_type=SBOM)
        manifests = [await fetch_attached(repository, entry, subject.digest) for entry in found]
        bodies = {await repository.read_blob(manifest.layers[0]) for manifest in manifests}
        assert await repository.tags() == [fallback_tag(subject.digest), "v1"]
    assert bodies == {b"bom %d" % number for number in range(WRITERS)}


async def test_cosign_layers_of_several_writers_are_all_there(registry: DockerRegistry, tmp_path: Path) -> None:
    """Under cosign's tag."""
    name, subject = await pushed(registry, tmp_path)

    async def write(number: int) -> None:
        piece = Piece(media_type=SIMPLE, data=b"{}", annotations={"dev.cosignproject.cosign/signature": str(number)})
        async with Registry(registry.host, OPEN) as client:
            await add_layers(client.repository(name), subject.digest, CosignKind.SIGNATURE, [piece])

    await asyncio.gather(*(write(number) for number in range(WRITERS)))
    async with Registry(registry.host, OPEN) as client:
        repository = client.repository(name)
        assert len(await list_layers(repository, subject.digest, CosignKind.SIGNATURE)) == WRITERS
        assert cosign_tag(subject.digest, CosignKind.SIGNATURE) in await repository.tags()
