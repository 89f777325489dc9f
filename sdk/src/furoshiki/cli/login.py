# SPDX-License-Identifier: Apache-2.0
"""``furo login``, ``logout`` and ``whoami``. A key is never an argument: every process of the machine sees arguments."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import IO, Final

import click

from furoshiki.cli.app import App, with_app
from furoshiki.cli.browser import log_in
from furoshiki.cli.render import show_one
from furoshiki.config import (
    DEFAULT_INFERENCE_URL,
    DEFAULT_URL,
    Config,
    Login,
    config_path,
    read_config,
    sends_key_in_clear,
    write_config,
)
from furoshiki.errors import FuroshikiError
from furoshiki.oidc import revoke

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
@click.option("--oidc", is_flag=True, help="Log in with a browser, at an OpenID provider that the registry names.")
@click.option("--provider", help="Which one, if the registry names several.")
@click.option("--no-browser", is_flag=True, help="Only print the address to open.")
@with_app
def login(
    app: App,
    *,
    url: str,
    inference_url: str,
    key_file: IO[str] | None,
    oidc: bool,
    provider: str | None,
    no_browser: bool,
) -> None:
    """Check a key, or log in with a browser, and remember it.

    With the services it is for.

    The key is read from a file, from stdin or from a hidden prompt, never from an argument: arguments can be seen by every
    process of the machine. What is saved is in a file that only you can read (mode 0600).
    """
    if oidc and key_file is not None:
        raise click.UsageError("--oidc and --key-file are two ways to log in; give one.")
    config = Config(url=url, inference_url=inference_url, api_key="" if oidc else _read_key(key_file))
    for service in (config.url, config.inference_url):
        if sends_key_in_clear(service):
            app.say(f"Warning: {service} is plain HTTP to another machine; the credential can be read on the way.")
    app.use(config)
    if oidc:
        config = log_in(app, config, provider, browser=not no_browser)
        app.use(config)
    identity = app.client.whoami()
    path = config_path()
    write_config(config, path)
    app.say(f"Logged in to {config.url}; saved in {path}.")
    show_one(app, identity, IDENTITY)


@click.command()
@with_app
def logout(app: App) -> None:
    """Forget the saved key or login. A login is ended at its provider, too. Where the services are stays."""
    path = config_path()
    config = read_config(path)
    if config is None or not config.api_key:
        app.say("Not logged in.")
        return
    write_config(replace(config, api_key=None, login=None), path)
    if config.login is not None:
        _end(app, config.login)
    app.say(f"Logged out of {config.url}.")


@click.command()
@with_app
def whoami(app: App) -> None:
    """Show whose key is in use."""
    show_one(app, app.client.whoami(), IDENTITY)


def _end(app: App, login: Login) -> None:
    if login.revocation_endpoint is None or login.refresh_token is None:
        return
    try:
        revoke(login.revocation_endpoint, client_id=login.client_id, refresh_token=login.refresh_token)
    except FuroshikiError as error:
        app.say(f"Warning: the login could not be ended at {login.issuer}: {error.message}")


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
