# SPDX-License-Identifier: Apache-2.0
"""``furo logs``."""

from __future__ import annotations

import click
import msgspec

from furoshiki.cli.app import App, with_app
from furoshiki.logs import LogChunk


@click.command()
@click.argument("name")
@click.option("--follow", "-f", is_flag=True, help="Go on as the log grows, until its writer ends.")
@click.option("--job", is_flag=True, help="NAME is the id of a job, such as a build's.")
@click.option(
    "--instance", metavar="RUN", help="Of this instance, as `furo deployments show` names it, or of one that has ended."
)
@with_app
def logs(app: App, *, name: str, follow: bool, job: bool, instance: str | None) -> None:
    """Print the log of the deployment NAME: of its first instance."""
    if job and instance is not None:
        raise click.UsageError("A job has no instances.")
    if job:
        chunks = app.client.jobs.follow(name) if follow else app.client.jobs.log(name)
    else:
        read = app.client.deployments.follow if follow else app.client.deployments.logs
        chunks = read(name, instance=instance)
    for chunk in chunks:
        _print(app, chunk)


def _print(app: App, chunk: LogChunk) -> None:
    if app.output == "json":
        click.echo(msgspec.json.encode(chunk))  # one line each: a stream has no end to wait for
    else:
        click.echo(chunk.text, nl=False)
