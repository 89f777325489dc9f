# SPDX-License-Identifier: Apache-2.0
"""Images of the real registry through the SDK: made by its job, downloaded, and verified and pushed by ``furo image``."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from deploy.local.components.docker_registry import docker_registry
from furoshiki import AsyncClient, Conflict, Image, Job, NotFound
from furoshiki.cli import furo
from furoshiki.cli.app import App
from tests.integration.registry_api.images.jobs.works import Works
from tests.integration.registry_api.rest import BASE, open_api


@pytest.fixture
async def works(tmp_path: Path) -> AsyncIterator[Works]:
    """A registry in this process, with a worker for tiny images."""
    async with open_api(tmp_path / "home") as api:
        yield Works(api=api, root=tmp_path / "works")


@pytest.fixture
async def client(works: Works) -> AsyncIterator[AsyncClient]:
    """On that registry."""
    key = works.api.http.headers["x-api-key"]
    async with AsyncClient(BASE, api_key=key, transport=httpx.ASGITransport(app=works.api.app)) as made:
        yield made


async def made_image(works: Works, client: AsyncClient) -> Image:
    """Made while it is waited for."""
    seen: list[Job] = []
    async with works.working():
        build = await works.build()
        asked = await client.images.create(build["id"], builder="layers")
        image = await client.images.wait(asked.id, progress=seen.append)
    assert (seen[-1].kind, seen[-1].state) == ("image", "succeeded")
    return image


async def furo_image(*arguments: str | Path) -> Result:
    """Runs ``furo image`` without a registry API."""
    return await asyncio.to_thread(CliRunner().invoke, furo, ["image", *map(str, arguments)], obj=App())


async def test_an_image_is_made_downloaded_verified_and_pushed(
    works: Works, client: AsyncClient, tmp_path: Path
) -> None:
    """Every check passes on what was downloaded, and again on what a real docker-registry gives back."""
    image, layout, policy = await made_image(works, client), tmp_path / "layout", tmp_path / "trust.json"
    assert (image.state, image.builder, image.platform) == ("succeeded", "layers", "linux/amd64")
    assert [one.id async for one in client.images.list()] == [image.id]
    found = await client.images.download(image.id, layout)
    assert (found.digest, found.kept) == (image.digest, 0)
    await asyncio.to_thread(policy.write_bytes, (await client.trust()).to_bytes())
    verified = await furo_image("verify", layout, "--policy", policy, "--expect", "digits@1", "-o", "json")
    assert json.loads(verified.stdout)["image"] == image.digest, verified.output
    with docker_registry(tmp_path / "registry") as registry:
        reference = f"{registry.host}/acme/digits:1"
        pushed = await furo_image("push", layout, reference, "-o", "json")
        assert json.loads(pushed.stdout)["digest"] == image.digest, pushed.output
        assert (await furo_image("verify", reference, "--policy", policy)).exit_code == 0
        assert (await furo_image("verify", reference, "--policy", policy, "--expect", "digits@2")).exit_code == 7
        pulled = await furo_image("pull", reference, tmp_path / "pulled", "-o", "json")
        assert json.loads(pulled.stdout)["digest"] == image.digest, pulled.output


async def test_a_download_goes_on_where_it_was_cut(works: Works, client: AsyncClient, tmp_path: Path) -> None:
    """A blob of which the beginning is there costs the rest only; one that is not made yet cannot be had."""
    image, folder = await made_image(works, client), tmp_path / "layout"
    await client.images.download(image.id, folder)
    layer = image.layers[0]
    name = layer.digest.removeprefix("sha256:")
    whole = await asyncio.to_thread((folder / "blobs" / "sha256" / name).rename, folder / f".{name}.part")
    await asyncio.to_thread(os.truncate, whole, 100)
    again = await client.images.download(image.id, folder)
    assert again.fetched == layer.size - 100
    asked = await client.images.create(image.build_id)
    with pytest.raises(Conflict, match="STATE_001"):
        await client.images.download(asked.id, tmp_path / "other")
    with pytest.raises(NotFound, match="IMAGE_008"):
        await client.images.get("0" * 32)
