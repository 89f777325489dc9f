# SPDX-License-Identifier: Apache-2.0
"""One bit flipped in each part of an image, in a pulled layout and in the registry's own storage: each has its own code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from click.testing import CliRunner

from artifacts.oci.layout import Descriptor
from artifacts.signing.bundle import MEDIA_TYPE
from artifacts.supply.__main__ import main
from artifacts.supply.attestations import PREDICATE_ANNOTATION, Kind, attached
from artifacts.supply.chain import ARTIFACT_TYPE
from artifacts.supply.testing import Described
from deploy.local.components.docker_registry import DockerRegistry
from tests.integration.artifacts.supply.conftest import run

CODES: Mapping[str, str] = {
    "base layer": "SIGN_004",
    "model layer": "SIGN_004",
    "configuration": "SIGN_004",
    "signature": "SIGN_002",
    "SBOM": "IMAGE_005",
    "provenance": "IMAGE_006",
    "chain": "IMAGE_007",
}


def parts(described: Described) -> dict[str, Descriptor]:
    """The blob of each part."""
    image = described.layout.manifest(described.image)
    statements = {
        manifest.annotations[PREDICATE_ANNOTATION]: manifest.layers[0]
        for manifest in attached(described.layout, described.image.digest, MEDIA_TYPE)
    }
    return {
        "base layer": image.layers[0],
        "model layer": image.layers[1],
        "configuration": image.config,
        "signature": statements[Kind.SIGNATURE],
        "SBOM": statements[Kind.SBOM],
        "provenance": statements[Kind.PROVENANCE],
        "chain": next(iter(attached(described.layout, described.image.digest, ARTIFACT_TYPE))).layers[0],
    }


def flip(layout: Path, blob: Descriptor) -> None:
    """Flips a bit in the middle of a blob."""
    path = layout / "blobs" / "sha256" / blob.digest.removeprefix("sha256:")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def code_of(layout: Path, policy: Path) -> str:
    """The code with which the command, run in this process, refuses a layout."""
    refused = CliRunner().invoke(main, ["verify", str(layout), "--policy", str(policy)])
    assert (refused.exit_code, refused.stdout) == (3, ""), refused.output
    return str(json.loads(refused.stderr)["code"])


def test_a_flipped_bit_is_refused_with_the_code_of_its_part(
    registry: DockerRegistry, described: Described, policy: Path, tmp_path: Path
) -> None:
    """Whoever has the image verified: from a folder or from the registry. Untouched it passes before and after."""
    reference, pulled = f"{registry.host}/test/{uuid4().hex}:3", tmp_path / "pulled"
    assert run("oci", "push", described.layout.root, reference).status == 0
    assert run("oci", "pull", reference, pulled).status == 0
    assert run("supply", "verify", pulled, "--policy", policy).status == 0
    found: dict[str, tuple[str, str]] = {}
    for part, blob in parts(described).items():
        copy = shutil.copytree(pulled, tmp_path / part)
        flip(copy, blob)
        in_layout = code_of(copy, policy)
        registry.damage(blob.digest)
        found[part] = (in_layout, run("supply", "verify", reference, "--policy", policy).refusal)
        registry.damage(blob.digest)  # flips it back
    print(f"\n{'one bit flipped in':20}{'in a layout':14}in the registry")
    for part, (in_layout, in_registry) in found.items():
        print(f"{part:20}{in_layout:14}{in_registry}")
    assert found == {part: (code, code) for part, code in CODES.items()}
    assert run("supply", "verify", reference, "--policy", policy).status == 0
