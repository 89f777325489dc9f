# SPDX-License-Identifier: Apache-2.0
"""``furo login`` and ``furo whoami``. A key is never an argument: arguments are visible to every process of the machine."""

from __future__ import annotations

import sys
from typing import IO, Final

import click

from furoshiki.cli.app import App, with_app
from furoshiki.cli.render import show_one
from furoshiki.config import (
    DEFAULT_INFERENCE_URL,
    DEFAULT_URL,
    Config,
    config_path,
    sends_key_in_clear,
    write_config,
)

IDENTITY: Final = {"tenant": "Tenant", "name": "Key", "key_id": "Key id", "roles": "Roles", "expires_at": "Expires"}


@click.command()
@click.option("--url", envvar="FUROSHIKI_URL", default=DEFAULT_URL, show_default=True, help="The registry.")
@click.option(
    "--inference-url",
    envvar="FUROSHIKI_INFERENCE_URL",
    default=DEFAULT_INFERENCE_URL,
    show_default=True,
    help="The inference service.",
)
@click.option(
    "--key-file",
    type=click.File("r"),
    help="File that holds the API key; '-' is stdin. Without it the key is asked for, or read from stdin in a pipe.",
)
@with_app
def login(app: App, *, url: str, inference_url: str, key_file: IO[str] | None) -> None:
    """Check an API key and remember it, with the services it is for.

    The key is read from a file, from stdin or from a hidden prompt, never from an argument: arguments can be seen by every
    process of the machine. It is saved in a file that only you can read (mode 0600).
    """
    config = Config(url=url, inference_url=inference_url, api_key=_read_key(key_file))
    for service in (config.url, config.inference_url):
        if sends_key_in_clear(service):
            app.say(f"Warning: {service} is plain HTTP to another machine; the key can be read on the way.")
    app.use(config)
    identity = app.client.whoami()
    path = config_path()
    write_config(config, path)
    app.say(f"Logged in to {config.url}; saved in {path}.")
    show_one(app, identity, IDENTITY)


@click.command()
@with_app
def whoami(app: App) -> None:
    """Show whose key is in use."""
    show_one(app, app.client.whoami(), IDENTITY)


def _read_key(key_file: IO[str] | None) -> str:
    if key_file is not None:
        key = key_file.read().strip()
    elif sys.stdin.isatty():
        key = click.prompt("API key", hide_input=True, err=True).strip()
    else:
        key = sys.stdin.readline().strip()
    if not key:
        raise click.UsageError("No API key was given; expected it in --key-file, on stdin or at the prompt.")
    return key
