# SPDX-License-Identifier: Apache-2.0
"""``furo card`` and ``furo tag``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from furoshiki.cards import Card
from furoshiki.cli.app import App, with_app
from furoshiki.cli.models import FACTS
from furoshiki.cli.refs import Ref, parse_ref
from furoshiki.cli.render import print_json, show_facts, show_one
from furoshiki.cli.versions import show_version

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("ref", callback=parse_ref, metavar="MODEL[@VERSION]")
@click.option("--fields", type=_FILE, help="Replace the fields by those of this JSON file.")
@click.option("--body", type=_FILE, help="Replace the text by this Markdown file.")
@with_app
def card(app: App, *, ref: Ref, fields: Path | None, body: Path | None) -> None:
    """Show a model card, or change it. `furo card digits --fields card.json --body README.md`.

    What is not given stays as it is. If somebody else changes the card meanwhile, nothing is changed.
    """
    found = app.client.models.card(ref.model, ref.version)
    if fields is not None or body is not None:
        found = app.client.models.put_card(
            ref.model,
            ref.version,
            fields=found.filled if fields is None else _fields(fields),
            body=found.body if body is None else body.read_text(encoding="utf-8"),
            etag=found.etag,
        )
    _show(app, found)


@click.command()
@click.argument("ref", callback=parse_ref, metavar="MODEL[@VERSION]")
@click.argument("tags", nargs=-1, metavar="[KEY[:VALUE]]...")
@click.option(
    "--remove", multiple=True, metavar="KEY", help="Remove the tag with this key; may be given several times."
)
@with_app
def tag(app: App, *, ref: Ref, tags: tuple[str, ...], remove: tuple[str, ...]) -> None:
    """Set and remove tags. `furo tag digits team:vision`, `furo tag digits@3 --remove tried`."""
    gone = {text.partition(":")[0] for text in (*tags, *remove)}
    if ref.version is None:
        model = app.client.models.get(ref.model)
        kept = [text for text in model.tags if text.partition(":")[0] not in gone]
        show_one(app, app.client.models.describe(ref.model, tags=[*kept, *tags], etag=model.etag), FACTS)
    else:
        version = app.client.versions.get(ref.model, ref.version)
        kept = [text for text in version.tags if text.partition(":")[0] not in gone]
        show_version(app, app.client.versions.describe(ref.model, ref.version, tags=[*kept, *tags], etag=version.etag))


def _fields(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise click.BadParameter(f"{str(path)!r} is no JSON object: {error}.", param_hint="--fields") from None


def _show(app: App, found: Card) -> None:
    if app.output == "json":
        print_json(found)
        return
    subject = found.model if found.version is None else f"{found.model}@{found.version}"
    facts: list[tuple[str, object]] = [("Card of", subject), ("Revision", found.revision)]
    facts += [(name.replace("_", " ").capitalize(), _plain(value)) for name, value in found.filled.items()]
    show_facts([*facts, ("Updated", found.updated_at), ("By", found.updated_by)])
    if found.body:
        click.echo(f"\n{found.body}")


def _plain(value: Any) -> object:
    if isinstance(value, list):
        return tuple(_metric(item) if isinstance(item, dict) else item for item in value)
    return value


def _metric(metric: dict[str, Any]) -> str:
    where = f" ({metric['dataset']})" if metric.get("dataset") else ""
    return f"{metric.get('name')} {metric.get('value')}{metric.get('unit') or ''}{where}"
