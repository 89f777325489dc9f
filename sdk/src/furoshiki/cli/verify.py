# SPDX-License-Identifier: Apache-2.0
"""``furo verify`` and ``furo trust``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import IO

import click

from furoshiki.bundle import TrustPolicy, Verified, parse_policy, verify
from furoshiki.cli.app import App, with_app
from furoshiki.cli.bars import checking_bar, transfer_bar
from furoshiki.cli.refs import Ref, parse_any_ref, parse_version_ref, refuse_missing_folder
from furoshiki.cli.render import print_json, show_facts


@click.command("verify")
@click.argument("target")
@click.option(
    "--policy",
    "policy_file",
    type=click.File("rb"),
    required=True,
    help="The tenant's trust policy, obtained beforehand with `furo trust`; '-' is stdin.",
)
@click.option(
    "--expect",
    callback=parse_version_ref,
    metavar="MODEL@VERSION",
    help="Refuse anything but this version, such as digits@3.",
)
@with_app
def verify_command(app: App, *, target: str, policy_file: IO[bytes], expect: Ref | None) -> None:
    """Verify a signed bundle.

    TARGET is a directory, which needs no network, or a version of the registry, such as digits@3.

    Signature, signer, every file's digest and size, and that there is nothing else. The policy alone decides who is
    trusted. Exit code 7 names the first rule that was broken.
    """
    policy = parse_policy(policy_file.read())
    directory = Path(target)
    refuse_missing_folder(target)
    if directory.is_dir():
        verified = _verify(app, directory, policy, expect)
    else:
        ref = parse_any_ref(click.get_current_context(), None, target)
        with tempfile.TemporaryDirectory(prefix="furo-verify-") as scratch:
            verified = _verify(app, _download(app, ref, Path(scratch) / "bundle"), policy, expect or ref)
    _show(app, verified)


@click.command()
@with_app
def trust(app: App) -> None:
    """Print whom the tenant trusts. `furo trust > trust.json`, for `--policy` of the commands that verify."""
    click.echo(app.client.trust().to_bytes())


def _download(app: App, ref: Ref, directory: Path) -> Path:
    version = app.client.versions.resolve(ref.model, ref.selector)
    with transfer_bar(app) as progress:
        return app.client.versions.download(version.model, version.version, directory, progress=progress)


def _verify(app: App, directory: Path, policy: TrustPolicy, expect: Ref | None) -> Verified:
    model, version = (expect.model, expect.version) if expect else (None, None)
    with checking_bar(app, None) as on_bytes:
        return verify(directory, policy, model=model, version=version, on_bytes=on_bytes)


def _show(app: App, verified: Verified) -> None:
    manifest = verified.manifest
    facts = {
        "ref": manifest.ref,
        "kind": manifest.kind,
        "variant": manifest.variant,
        "digest": verified.digest,
        "key_id": verified.key_id,
        "files": len(manifest.files),
        "bytes": manifest.size,
    }
    app.say(f"Verified {manifest.ref}: signed by a trusted key, and every byte is as signed.")
    if app.output == "json":
        print_json(facts)
    else:
        show_facts([(name.replace("_", " ").capitalize(), fact) for name, fact in facts.items()])
