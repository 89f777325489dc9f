# SPDX-License-Identifier: Apache-2.0
"""``furo audit``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import IO

import click

from furoshiki.bundle import parse_policy
from furoshiki.chain import AuditVerdict, verify_history
from furoshiki.cli.app import App, with_app
from furoshiki.cli.exits import Exit
from furoshiki.cli.render import print_json, show_facts, show_list

COLUMNS = {
    "seq": "SEQ",
    "at": "AT",
    "actor": "BY",
    "action": "ACTION",
    "subject": "SUBJECT",
    "before": "BEFORE",
    "after": "AFTER",
    "reason": "REASON",
}
_PLACE = click.Path(dir_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def audit() -> None:
    """Read, keep and verify the history of the tenant."""


@audit.command("list")
@click.option("--resource", help="Only to this, such as the model digits.")
@click.option("--action", help="Only this, such as version.stage_changed.")
@with_app
def list_audit(app: App, *, resource: str | None, action: str | None) -> None:
    """List what happened, newest first."""
    show_list(app, app.client.audit.list(resource=resource, action=action), COLUMNS)


@audit.command()
@click.argument("target", type=_PLACE)
@with_app
def export(app: App, *, target: Path) -> None:
    """Write the signed history to the file TARGET. Kept elsewhere, it shows later that nothing was cut off."""
    app.client.audit.export(target)
    app.say(f"Wrote {target}.")


@audit.command()
@click.option("--file", type=_FILE, help="An export, verified without any network; needs --policy.")
@click.option("--policy", type=click.File("rb"), help="The trust policy, obtained beforehand with `furo trust`.")
@click.option("--against", type=_FILE, help="An earlier export: the history must go on from where that ended.")
@with_app
def verify(app: App, *, file: Path | None, policy: IO[bytes] | None, against: Path | None) -> None:
    """Recompute every hash and signature of the history, here and not in the registry.

    Exit code 7 if anything does not fit; each finding names the entry.
    """
    if file is not None and policy is None:
        raise click.UsageError("--file needs --policy: who made the file must not say whom to trust.")
    trusted = app.client.trust() if policy is None else parse_policy(policy.read())
    with tempfile.TemporaryDirectory(prefix="furo-audit-") as scratch:
        export = file or app.client.audit.export(Path(scratch) / "history.jsonl")
        with export.open("rb") as lines:
            earlier = () if against is None else against.read_bytes().splitlines()
            verdict = verify_history(lines, trusted, against=earlier)
    _show(app, verdict)
    if not verdict.intact:
        click.get_current_context().exit(Exit.SIGNATURE)


def _show(app: App, verdict: AuditVerdict) -> None:
    if app.output == "json":
        print_json(verdict)
        return
    show_facts(
        [
            ("Tenant", verdict.tenant),
            ("Entries", verdict.entries),
            ("Signed up to", verdict.signed_seq),
            ("Head", verdict.head),
            ("History", "intact" if verdict.intact else "does not fit"),
            *((f"Entry {finding.seq}", finding.problem) for finding in verdict.findings),
        ]
    )
