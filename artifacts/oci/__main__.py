# SPDX-License-Identifier: Apache-2.0
"""``python -m artifacts.oci``: ``push LAYOUT REF``, ``pull REF LAYOUT``, ``list REF``.

Images travel with everything attached to them. A push or pull that was cut is run again: what is there does not travel.
Results go to stdout, progress to stderr; how it ends: :mod:`artifacts.oci.command`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import click
import msgspec

from artifacts.oci.attach import referrers
from artifacts.oci.command import Reach, RefusingGroup, Telling, layout_at, parse_platform, reaching
from artifacts.oci.descriptor import Descriptor, Platform
from artifacts.oci.layout import Layout
from artifacts.oci.reference import Reference, check_repository, parse_reference
from artifacts.oci.refusals import wrong_digest
from artifacts.oci.registry import Registry
from artifacts.oci.shipping import Shipped, image_in, named_in, pull_whole, push_whole
from artifacts.oci.uploads import Way


@click.group(cls=RefusingGroup)
def main() -> None:
    """Copies images between OCI layouts and registries."""


@main.command("push")
@click.argument("folder", metavar="LAYOUT", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("reference", metavar="REF")
@click.option("--image", help="Name or digest of the image, in a layout that holds several.")
@click.option(
    "--mount-from", multiple=True, metavar="REPOSITORY", help="Take blobs that this neighbour has. Repeatable."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@reaching
def push_command(
    reach: Reach, folder: Path, reference: str, image: str | None, mount_from: tuple[str, ...], *, as_json: bool
) -> None:
    """Copies the image in LAYOUT, with everything attached to it, to REF: host[:port]/repository[:tag]."""
    target, layout = parse_reference(reference), Layout.open(folder)
    found = image_in(layout, image)
    if target.digest not in (None, found.digest):
        raise wrong_digest(target.digest or "", found.digest, where="the layout")
    shipped = asyncio.run(_push(target, reach, layout, found, tuple(map(check_repository, mount_from))))
    _show(target, shipped, "sent", as_json=as_json)


@main.command("pull")
@click.argument("reference", metavar="REF")
@click.argument("folder", metavar="LAYOUT", type=click.Path(file_okay=False, path_type=Path))
@click.option("--platform", callback=parse_platform, help="Take the image for this one only, such as linux/amd64.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@reaching
def pull_command(reach: Reach, reference: str, folder: Path, platform: Platform | None, *, as_json: bool) -> None:
    """Copies the image REF, with everything attached to it, to LAYOUT: a new folder, or one to go on with."""
    source = parse_reference(reference)
    shipped = asyncio.run(_pull(source, reach, folder, platform))
    _show(source, shipped, "received", as_json=as_json)


@main.command("list")
@click.argument("reference", metavar="REF")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@reaching
def list_command(reach: Reach, reference: str, *, as_json: bool) -> None:
    """Lists the tags of a repository, or with a tag or digest what is attached to that image."""
    asked = parse_reference(reference)
    if asked.tag is None and asked.digest is None:
        tags = asyncio.run(_tags(asked, reach))
        click.echo(_json(tags) if as_json else "\n".join(tags))
        return
    image, attached = asyncio.run(_attached(asked, reach))
    if as_json:
        shown = [{**_entry(each), "annotations": dict(each.annotations)} for each in attached]
        click.echo(_json({"reference": str(asked.at(image.digest)), **_entry(image), "attached": shown}))
        return
    click.echo(f"{asked.at(image.digest)} {image.size} bytes")
    for each in attached:
        said = " ".join(_plain(f"{name}={value}") for name, value in sorted(each.annotations.items()))
        click.echo(f"{each.digest} {each.size} bytes {_plain(each.artifact_type or each.media_type)} {said}".rstrip())


async def _push(
    target: Reference, reach: Reach, layout: Layout, image: Descriptor, mount_from: tuple[str, ...]
) -> Shipped:
    async with Registry(target.host, reach.access(target)) as registry:
        repository = registry.repository(target.repository)
        return await push_whole(layout, image, repository, tag=target.tag, mount_from=mount_from, progress=Telling())


async def _pull(source: Reference, reach: Reach, folder: Path, platform: Platform | None) -> Shipped:
    async with Registry(source.host, reach.access(source)) as registry:
        repository, layout = registry.repository(source.repository), layout_at(folder)
        return await pull_whole(repository, source, layout, platform=platform, progress=Telling())


async def _tags(asked: Reference, reach: Reach) -> list[str]:
    async with Registry(asked.host, reach.access(asked)) as registry:
        return await registry.repository(asked.repository).tags()


async def _attached(asked: Reference, reach: Reach) -> tuple[Descriptor, tuple[Descriptor, ...]]:
    async with Registry(asked.host, reach.access(asked)) as registry:
        repository = registry.repository(asked.repository)
        image = (await repository.fetch(named_in(asked))).descriptor
        return image, await referrers(repository, image.digest)


def _show(reference: Reference, shipped: Shipped, travelled: str, *, as_json: bool) -> None:
    pinned, ways = reference.at(shipped.image.descriptor.digest), _ways(shipped, travelled)
    if as_json:
        facts = {"reference": str(pinned), "tag": reference.tag, "digest": pinned.digest}
        counts = {travelled: shipped.sent, "skipped": shipped.skipped, "blobs": ways, "attached": len(shipped.attached)}
        click.echo(_json({**facts, **counts}))
        return
    click.echo(str(pinned))
    blobs = ", ".join(f"{count} {way}" for way, count in sorted(ways.items()))
    click.echo(
        f"{shipped.sent} bytes {travelled}, {shipped.skipped} skipped; blobs: {blobs}; {len(shipped.attached)} attached"
    )


def _ways(shipped: Shipped, travelled: str) -> dict[str, int]:
    """How many blobs came how."""
    ways = [way for copied in (shipped.image, *shipped.attached) for way in copied.ways.values()]
    return dict(Counter(travelled if way is Way.SENT else str(way) for way in ways))


def _entry(descriptor: Descriptor) -> dict[str, Any]:
    return {"digest": descriptor.digest, "size": descriptor.size, "artifact_type": descriptor.artifact_type}


def _plain(text: str) -> str:
    """A stranger's text, on one line and without commands for the terminal."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value)).decode()


if __name__ == "__main__":
    main()
