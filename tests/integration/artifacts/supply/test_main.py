# SPDX-License-Identifier: Apache-2.0
"""Images pushed, pulled and verified by the commands, with a real docker-registry in between."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from artifacts.oci.copying import Moved
from artifacts.oci.layout import Layout
from artifacts.oci.media import IMAGE_MANIFEST
from artifacts.oci.reference import parse_reference
from artifacts.oci.registry import Registry
from artifacts.oci.shipping import image_in, pull_whole
from artifacts.signing.verifier import BundleVerifier
from artifacts.supply.modelpack import ARTIFACT_TYPE
from artifacts.supply.testing import Described, make_image
from artifacts.supply.verification import verify_image
from core.clock import ManualClock
from deploy.local.components.docker_registry import PASSWORD, USER, DockerRegistry
from tests.integration.artifacts.stores.proxy import proxied
from tests.integration.artifacts.supply.conftest import alone, ran, run, started

MIB = 1024 * 1024


def repository(registry: DockerRegistry) -> str:
    """A new one."""
    return f"{registry.host}/test/{uuid4().hex}"


def large(folder: Path, policy: Path, *, size: int) -> Described:
    """An image with a layer of at least ``size`` bytes, and its policy."""
    made = make_image(folder, extra={"srv/weights": random.Random(size).randbytes(size)})
    policy.write_bytes(made.policy.to_bytes())
    return made


def arrived(folder: Path) -> int:
    """Bytes of blobs that are not whole yet."""
    return sum(path.stat().st_size for path in folder.glob(".*.part"))


def test_what_was_pushed_is_verified_by_digest(registry: DockerRegistry, described: Described, policy: Path) -> None:
    """The tag is resolved once and the digest said; a second push and a neighbour's send nothing."""
    name = repository(registry)
    pushed = run("oci", "push", described.layout.root, f"{name}:3", "--json").json
    assert pushed["reference"] == f"{name}@{described.image.digest}"
    assert pushed["sent"] > 0
    assert run("oci", "push", described.layout.root, f"{name}:3", "--json").json["sent"] == 0
    repositories = parse_reference(name).repository
    mounted = run("oci", "push", described.layout.root, f"{name}-too:3", "--mount-from", repositories, "--json").json
    assert mounted["blobs"]["mounted"] == 3
    verified = run("supply", "verify", f"{name}:3", "--policy", policy, "--expect", "digits@3")
    assert f"{name}:3 is {name}@{described.image.digest}" in verified.err
    assert verified.out.splitlines() == list(described.verify().lines())
    told = run("supply", "verify", pushed["reference"], "--policy", policy, "--json").json
    assert told["image"] == described.image.digest


def test_tags_and_what_is_attached_are_listed(
    registry: DockerRegistry, described: Described, policy: Path, tmp_path: Path
) -> None:
    """Signature, SBOM, provenance, chain and the model alone by their types; tags by name."""
    name = repository(registry)
    assert run("oci", "list", name).refusal == "OCI_003"
    assert run("oci", "push", described.layout.root, f"{name}:3").status == 0
    assert "3" in run("oci", "list", name).out.splitlines()
    listed = run("oci", "list", f"{name}:3", "--json").json
    assert listed["digest"] == described.image.digest
    assert len(listed["attached"]) == 5
    assert "predicateType=https://slsa.dev/provenance/v1" in run("oci", "list", f"{name}:3").out
    packed = make_image(tmp_path / "packed", packed=True)
    policy.write_bytes(packed.policy.to_bytes())
    pushed = run("oci", "push", packed.layout.root, f"{name}:4", "--json").json
    (pack,) = [line for line in run("oci", "list", pushed["reference"]).out.splitlines() if ARTIFACT_TYPE in line]
    assert pack.partition(" ")[0] in {entry.digest for entry in packed.layout.index().manifests}
    verified = run("supply", "verify", pushed["reference"], "--policy", policy)
    assert verified.out.splitlines() == list(packed.verify().lines())


async def test_a_tag_that_moves_meanwhile_changes_nothing(
    registry: DockerRegistry, described: Described, tmp_path: Path
) -> None:
    """Between its resolution and the pull of the layers: what comes is whole and is what the tag named at first."""
    name, other = repository(registry), make_image(tmp_path / "other")
    for made, tag in ((other, "other"), (described, "3")):
        assert (await ran("oci", "push", made.layout.root, f"{name}:{tag}")).status == 0
    source, moved = parse_reference(f"{name}:3"), list[int]()

    def move(_progress: Moved) -> None:
        if not moved:
            url = f"http://{registry.host}/v2/{source.repository}/manifests/3"
            data = other.layout.read_blob(other.image)
            moved.append(httpx.put(url, content=data, headers={"content-type": IMAGE_MANIFEST}).status_code)

    arrived = Layout.create(tmp_path / "arrived")
    async with Registry(registry.host) as client:
        shipped = await pull_whole(client.repository(source.repository), source, arrived, progress=move)
        assert await client.repository(source.repository).resolve("3") == other.image.digest
    assert (moved, shipped.image.descriptor.digest) == ([201], described.image.digest)
    verifier = BundleVerifier(described.policy, ManualClock())
    assert verify_image(arrived, image_in(arrived), verifier, described.subject).image == described.image.digest


def test_an_image_that_the_tag_names_now_is_not_trusted_for_its_name(
    registry: DockerRegistry, described: Described, policy: Path, tmp_path: Path
) -> None:
    """Somebody else's image under the tag is refused; the digest still names ours."""
    name, other = repository(registry), make_image(tmp_path / "other")
    for made in (described, other):
        assert run("oci", "push", made.layout.root, f"{name}:3").status == 0
    assert run("supply", "verify", f"{name}:3", "--policy", policy).refusal == "SIGN_003"
    assert run("supply", "verify", f"{name}:3@{described.image.digest}", "--policy", policy).status == 0


def test_a_push_under_another_digest_is_refused(registry: DockerRegistry, described: Described) -> None:
    """Before anything travels."""
    name = repository(registry)
    assert run("oci", "push", described.layout.root, f"{name}@sha256:{'0' * 64}").refusal == "SIGN_004"
    assert run("oci", "list", name).refusal == "OCI_003"


def test_logins(guarded: DockerRegistry, described: Described, policy: Path, tmp_path: Path) -> None:
    """From stdin, from the environment, from docker's file; a wrong one, none and another authority are refused."""
    name, tls = repository(guarded), ("--ca-file", str(guarded.ca_file))
    push = ("oci", "push", described.layout.root, f"{name}:3", *tls)
    verify = ("supply", "verify", f"{name}:3", "--policy", policy, *tls)
    user, kept = ("--username", USER), tmp_path / "auth.json"
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    kept.write_text(json.dumps({"auths": {guarded.host: {"auth": auth}}}))
    assert run(*push).refusal == "OCI_002"
    wrong = run(*push, *user, "--password-stdin", stdin="wr0ng\n")
    assert (wrong.refusal, "wr0ng" in wrong.err) == ("OCI_002", False)
    assert run(*push, *user).refusal == "VALID_002"
    assert run(*push, *user, "--password-stdin", stdin=f"{PASSWORD}\n").status == 0
    assert run(*verify, *user, FUROSHIKI_OCI_PASSWORD=PASSWORD).status == 0
    assert run(*verify, REGISTRY_AUTH_FILE=str(kept)).status == 0
    assert run(*verify, REGISTRY_AUTH_FILE=str(tmp_path / "none.json")).refusal == "INIT_002"
    assert run(*verify[:-2], *user, FUROSHIKI_OCI_PASSWORD=PASSWORD).refusal == "OCI_004"


async def test_a_pull_that_is_killed_goes_on(registry: DockerRegistry, policy: Path, tmp_path: Path) -> None:
    """The registry is cut in the middle of a layer and then silent, the pull is killed; the next one takes the rest."""
    made = large(tmp_path / "large", policy, size=12 * MIB)
    name, folder = repository(registry), tmp_path / "pulled"
    size = (await ran("oci", "push", made.layout.root, f"{name}:3", "--json")).json["sent"]
    async with proxied(f"http://{registry.host}") as proxy:
        there = name.replace(registry.host, proxy.endpoint.removeprefix("http://"))
        proxy.faults.answer_cuts, proxy.faults.cut_after = 1, 8 * MIB
        child = await asyncio.create_subprocess_exec(*started("oci", "pull", f"{there}:3", folder), env=alone())
        while proxy.faults.answer_cuts:
            await asyncio.sleep(0.01)
        proxy.faults.silent, proxy.faults.only = True, b"GET"
        while arrived(folder) < MIB:
            await asyncio.sleep(0.01)
        child.kill()
        await child.wait()
    assert (await ran("supply", "verify", folder, "--policy", policy)).refusal == "VALID_002"
    left = arrived(folder)
    rest = (await ran("oci", "pull", f"{name}:3", folder, "--json")).json["received"]
    print(f"\n{size} bytes: {left} were there when the pull was killed, {rest} came with the next")
    assert rest <= size - left
    assert (await ran("supply", "verify", folder, "--policy", policy)).status == 0


async def test_a_push_that_is_cut_arrives(registry: DockerRegistry, policy: Path, tmp_path: Path) -> None:
    """The registry's connection breaks in the middle of a layer, twice: the image is there and verifies."""
    made = large(tmp_path / "large", policy, size=6 * MIB)
    name = repository(registry)
    async with proxied(f"http://{registry.host}") as proxy:
        there = name.replace(registry.host, proxy.endpoint.removeprefix("http://"))
        proxy.faults.cuts, proxy.faults.cut_after, proxy.faults.only = 2, 2 * MIB, b"PATCH"
        pushed = await ran("oci", "push", made.layout.root, f"{there}:3")
        assert (pushed.status, proxy.faults.cuts) == (0, 0)
    assert (await ran("supply", "verify", f"{name}:3", "--policy", policy)).status == 0


@pytest.mark.parametrize("reference", ["digits:3", "127.0.0.1:1/UPPER:3", "http://127.0.0.1/a:3", "127.0.0.1/a b"])
def test_a_reference_that_is_none_is_refused(reference: str, policy: Path, tmp_path: Path) -> None:
    """Before anybody is asked, by each command."""
    assert run("supply", "verify", reference, "--policy", policy).refusal == "VALID_002"
    assert run("oci", "pull", reference, tmp_path / "x").refusal == "VALID_002"
