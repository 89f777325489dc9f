# SPDX-License-Identifier: Apache-2.0
"""``python -m artifacts.supply verify REF|LAYOUT --policy FILE``: every check of :mod:`artifacts.supply.verification`.

REF is pulled into a temporary folder (``TMPDIR``), a tag resolved once; nothing but documents is pulled before its signature
stands. LAYOUT is a folder. The chain from the image back to the uploaded files goes to stdout, progress to stderr; how it
ends: :mod:`artifacts.oci.command`.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import click
import msgspec

from artifacts.manifest import FileEntry, Manifest
from artifacts.oci.command import Reach, RefusingGroup, Telling, parse_platform, reaching, tell
from artifacts.oci.descriptor import Descriptor, Platform
from artifacts.oci.layout import Layout
from artifacts.oci.reference import Reference, parse_reference
from artifacts.oci.registry import Registry
from artifacts.oci.shipping import image_in, pull_whole
from artifacts.signing.policy import MAX_POLICY_BYTES, Subject, TrustPolicy
from artifacts.signing.verifier import BundleVerifier
from artifacts.supply.chain import stated_subject
from artifacts.supply.verification import VerifiedImage, check_signed, damaged, verify_image
from core.clock import SystemClock
from core.refs import parse_name, parse_version


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What ``--expect`` names."""

    model: str
    version: int | None  # None: any


@click.group(cls=RefusingGroup)
def main() -> None:
    """Says where an image comes from, or refuses it."""


@main.command("verify")
@click.argument("target", metavar="REF|LAYOUT")
@click.option("--policy", type=click.File("rb"), required=True, help="Trust policy of the tenant (furo trust).")
@click.option("--expect", metavar="MODEL[@VERSION]", help="Refuse an image of anything else.")
@click.option("--image", help="Name or digest of the image, in a layout that holds several.")
@click.option("--platform", callback=parse_platform, help="Of an index, check the image for this one.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@reaching
def verify_command(
    reach: Reach,
    target: str,
    *,
    policy: IO[bytes],
    expect: str | None,
    image: str | None,
    platform: Platform | None,
    as_json: bool,
) -> None:
    """Checks signature, SBOM, provenance and the chain back to the upload."""
    trusted, expected = TrustPolicy.from_bytes(policy.read(MAX_POLICY_BYTES + 1)), _expected(expect)
    folder = Path(target)
    if folder.is_dir():
        layout = Layout.open(folder)
        _show(_verified(layout, image_in(layout, image), trusted, expected), as_json=as_json)
        return
    reference = parse_reference(target)
    with tempfile.TemporaryDirectory(prefix="furoshiki-image-") as scratch:
        layout = Layout.create(Path(scratch) / "layout")
        found = asyncio.run(_pulled(reference, reach, layout, platform, BundleVerifier(trusted, SystemClock())))
        tell(f"{reference} is {reference.at(found.digest)}")
        _show(_verified(layout, found, trusted, expected), as_json=as_json)


def _expected(text: str | None) -> Expected | None:
    if text is None:
        return None
    model, at, version = text.partition("@")
    return Expected(model=parse_name(model, what="model"), version=parse_version(version) if at else None)


async def _pulled(
    reference: Reference, reach: Reach, layout: Layout, platform: Platform | None, verifier: BundleVerifier
) -> Descriptor:
    async with Registry(reference.host, reach.access(reference)) as registry:
        shipped = await pull_whole(
            registry.repository(reference.repository),
            reference,
            layout,
            platform=platform,
            progress=Telling(),
            blame=damaged,
            accept=lambda image: check_signed(layout, image, verifier),
        )
        return shipped.image.descriptor


def _verified(layout: Layout, image: Descriptor, policy: TrustPolicy, expected: Expected | None) -> VerifiedImage:
    subject = (
        stated_subject(layout, image.digest, policy.tenant)
        if expected is None
        else Subject(tenant=policy.tenant, model=expected.model, version=expected.version)
    )
    return verify_image(layout, image, BundleVerifier(policy, SystemClock()), subject)


def _show(verified: VerifiedImage, *, as_json: bool) -> None:
    if not as_json:
        click.echo("\n".join(verified.lines()))
        return
    made, chain = verified.provenance, verified.chain
    facts: dict[str, Any] = {
        "image": verified.image,
        "builder": made.builder,
        "builder_version": made.builder_version,
        "platform": made.platform,
        "base": made.base,
        "packages": verified.packages,
        "chain": [_step(step) for step in (chain.bento, *chain.models)],
        "uploaded": [_file(entry) for entry in chain.uploaded],
    }
    click.echo(msgspec.json.format(msgspec.json.encode(facts)).decode())


def _step(manifest: Manifest) -> dict[str, Any]:
    facts = {"kind": manifest.kind, "ref": str(manifest.ref), "variant": manifest.variant}
    return {**facts, "digest": manifest.digest}


def _file(entry: FileEntry) -> dict[str, Any]:
    return {"path": entry.path, "size": entry.size, "digest": entry.digest}


if __name__ == "__main__":
    main()
