# SPDX-License-Identifier: Apache-2.0
"""``furo signing``."""

from __future__ import annotations

from pathlib import Path

import click

from furoshiki.bundle import TrustedKey, TrustPolicy
from furoshiki.bundle.policy import key_id_of
from furoshiki.cli.app import App, with_app
from furoshiki.cli.refs import parse_version_ref
from furoshiki.cli.render import show_list, show_one

_COLUMNS = {
    "key_id": "KEY",
    "algorithm": "ALGORITHM",
    "signs": "SIGNS",
    "trusted": "TRUSTED",
    "revoked": "REVOKED",
    "not_after": "NOT AFTER",
}
_REASON = click.option("--reason", required=True, help="Why; kept in the tenant's history.")


@click.group()
def signing() -> None:
    """List, rotate and revoke signing keys; revoke versions."""


@signing.command("keys")
@with_app
def list_keys(app: App) -> None:
    """List the tenant's signing keys, newest first."""
    show_list(app, app.client.signing.keys(), _COLUMNS)


@signing.command("rotate")
@_REASON
@click.option(
    "--overlap-days",
    type=click.IntRange(min=0),
    help="What the old key signed counts for so long; left out: until the old key is revoked.",
)
@with_app
def rotate(app: App, *, reason: str, overlap_days: int | None) -> None:
    """Make a new signing key, which signs from now on."""
    show_list(app, app.client.signing.rotate(reason=reason, overlap_days=overlap_days), _COLUMNS)


@signing.command("revoke")
@click.argument("target", metavar="KEY|DIGEST|MODEL@VERSION")
@_REASON
@with_app
def revoke(app: App, *, target: str, reason: str) -> None:
    """Revoke a signing key, a digest or a version, for ever.

    Inference services stop answering with it within five seconds.
    """
    client = app.client.signing
    if target.startswith("sha256:"):
        revoked = client.revoke(digest=target, reason=reason)
    elif "@" in target:
        ref = parse_version_ref(click.get_current_context(), None, target)
        assert ref is not None
        assert ref.version is not None  # parse_version_ref
        revoked = client.revoke(version=(ref.model, ref.version), reason=reason)
    else:
        revoked = client.revoke(key_id=target, reason=reason)
    show_one(app, revoked, {"kind": "Kind", "id": "Id", "serial": "Policy serial"})


@signing.command("p256-key")
@with_app
def p256_key(app: App) -> None:
    """Print the public key of co-signatures. It is for `model_signing verify key --public_key`."""
    click.echo(app.client.signing.p256_key(), nl=False)


@signing.command("policy")
@click.option("--tenant", required=True, help="Whose signatures are to be verified.")
@click.argument("keys", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def policy(tenant: str, keys: tuple[Path, ...]) -> None:
    """Print a trust policy made of public keys, without any network.

    KEYS are files of public keys (PEM).

    For `furo verify --policy` and for an inference service's folder of trust policies.
    """
    trusted = [TrustedKey(key_id=key_id_of(pem), public_key=pem) for pem in (file.read_text() for file in keys)]
    click.echo(TrustPolicy(tenant=tenant, keys=tuple(trusted)).to_bytes())
