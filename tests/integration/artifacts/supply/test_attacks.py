# SPDX-License-Identifier: Apache-2.0
"""What somebody who can write to a registry can do: none of it is verified, and none of it reaches a terminal."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from artifacts.oci.attach import Attachment, Piece, attach
from artifacts.oci.attached import attached_in
from artifacts.oci.descriptor import Descriptor, Platform
from artifacts.oci.layout import ImageIndex
from artifacts.oci.media import IMAGE_CONFIG
from artifacts.oci.registry import Registry
from artifacts.supply.testing import Described
from deploy.local.components.docker_registry import DockerRegistry
from tests.integration.artifacts.supply.conftest import run


@pytest.fixture
def reference(registry: DockerRegistry) -> str:
    return f"{registry.host}/test/{uuid4().hex}"


def altered(described: Described, architecture: str = "amd64") -> Descriptor:
    """The image with another start, and everything that is attached to it attached to this one too."""
    layout = described.layout
    manifest = layout.manifest(described.image)
    config = json.loads(layout.read_blob(manifest.config))
    config["architecture"] = architecture
    config["config"] = {"Env": ["LD_PRELOAD=/tmp/evil.so"], "Entrypoint": ["/tmp/evil"]}
    changed = layout.put_bytes(json.dumps(config).encode(), media_type=IMAGE_CONFIG)
    platform = Platform(architecture=architecture)
    image = layout.put_manifest(replace(manifest, config=changed), tag="altered", platform=platform)
    for _entry, attached in list(attached_in(layout, described.image.digest)):
        layout.put_manifest(replace(attached, subject=image.content))
    return image


def test_the_statements_of_one_image_do_not_serve_another(
    registry: DockerRegistry, described: Described, policy: Path, reference: str
) -> None:
    """The same layers, started otherwise: what was signed is the digest, which is another."""
    assert run("oci", "push", described.layout.root, "--image", altered(described).digest, f"{reference}:3").status == 0
    assert run("supply", "verify", f"{reference}:3", "--policy", policy).refusal == "SIGN_002"
    assert run("oci", "push", described.layout.root, "--image", described.image.digest, f"{reference}:3").status == 0
    assert run("supply", "verify", f"{reference}:3", "--policy", policy).status == 0


def test_of_an_index_only_the_signed_image_is_verified(
    registry: DockerRegistry, described: Described, policy: Path, reference: str
) -> None:
    """One good image in it says nothing of the index, nor of the other; what is verified is named by its own digest."""
    evil = altered(described, "arm64")
    good = replace(described.image, platform=Platform(architecture="amd64"))
    index = described.layout.put_manifest(ImageIndex(manifests=(good, evil)), tag="index")
    for image, tag in ((described.image, "good"), (evil, "evil"), (index, "3")):
        assert run("oci", "push", described.layout.root, "--image", image.digest, f"{reference}:{tag}").status == 0
    asked = ("supply", "verify", f"{reference}:3", "--policy", policy)
    assert run(*asked).refusal == "SIGN_010"
    assert run(*asked, "--platform", "linux/arm64").refusal == "SIGN_002"
    assert run(*asked, "--platform", "linux/amd64", "--json").json["image"] == described.image.digest


def test_a_registry_writes_nothing_to_the_terminal(
    registry: DockerRegistry, described: Described, reference: str
) -> None:
    """What is attached is listed on one line each, whatever its annotations hold."""
    note = Attachment(
        artifact_type="application/vnd.test",
        pieces=(Piece(media_type="text/plain", data=b"x"),),
        annotations={"evil": "\x1b[2J\nsha256:" + "0" * 64 + " 1 bytes signed"},
    )

    async def attached() -> None:
        async with Registry(registry.host) as client:
            await attach(client.repository(reference.partition("/")[2]), described.image, [note])

    assert run("oci", "push", described.layout.root, f"{reference}:3").status == 0
    asyncio.run(attached())
    listed = run("oci", "list", f"{reference}:3").out
    assert "\\x1b[2J\\nsha256:000" in listed
    assert "\x1b" not in listed
    assert not any(line.startswith("sha256:000") for line in listed.splitlines())
