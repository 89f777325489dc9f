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
@with_app
def logs(app: App, *, name: str, follow: bool, job: bool) -> None:
    """Print the log of the deployment NAME."""
    if job:
        chunks = app.client.jobs.follow(name) if follow else app.client.jobs.log(name)
    else:
        chunks = app.client.deployments.follow(name) if follow else app.client.deployments.logs(name)
    for chunk in chunks:
        _print(app, chunk)


def _print(app: App, chunk: LogChunk) -> None:
    if app.output == "json":
        click.echo(msgspec.json.encode(chunk))  # one line each: a stream has no end to wait for
    else:
        click.echo(chunk.text, nl=False)
