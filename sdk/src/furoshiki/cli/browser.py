# SPDX-License-Identifier: Apache-2.0
"""The part of ``furo login --oidc`` that needs a browser, and a person before it."""

from __future__ import annotations

import webbrowser
from dataclasses import replace
from typing import Final

import click

from furoshiki.cli.app import App
from furoshiki.cli.callback import listening
from furoshiki.config import Config, Login
from furoshiki.oidc import Attempt, discover
from furoshiki.tokens import LoginProvider

_PATIENCE: Final = 300.0  # seconds to log in


def log_in(app: App, config: Config, wanted: str | None, *, browser: bool) -> Config:
    """The configuration with a token of the registry, and what renews it.

    Args:
        app: Its client speaks to the registry.
        config: The services.
        wanted: Name of the provider; None: the only one.
        browser: Whether to open one.

    Raises:
        AuthError: ``AUTH_002`` if the provider or the registry refuses, or nobody logged in.
        TransientError: If one of them cannot be reached.
    """
    provider = _chosen(app.client.tokens.login_providers(), wanted)
    endpoints = discover(provider.issuer)
    attempt = Attempt(client_id=provider.client_id)
    with listening() as listener:
        address = attempt.url(endpoints, redirect_uri=listener.redirect_uri, scopes=provider.scopes)
        app.say(f"Log in at {provider.issuer} with a browser on this machine:\n\n  {address}\n")
        if browser:
            webbrowser.open(address)
        code = attempt.code(listener.wait(_PATIENCE), endpoints)
        grant = attempt.redeem(code, endpoints, redirect_uri=listener.redirect_uri)
    app.use(replace(config, api_key=grant.id_token))
    token = app.client.tokens.create()
    login = Login(
        issuer=provider.issuer,
        client_id=provider.client_id,
        token_endpoint=endpoints.token_endpoint,
        revocation_endpoint=endpoints.revocation_endpoint,
        expires_at=token.expires_at,
        refresh_token=grant.refresh_token,
    )
    return replace(config, api_key=token.token, login=login)


def _chosen(providers: list[LoginProvider], wanted: str | None) -> LoginProvider:
    if not providers:
        raise click.UsageError("The registry knows no provider to log in with. Log in with a key: --key-file.")
    names = ", ".join(provider.name for provider in providers)
    found = [provider for provider in providers if wanted in (None, provider.name)]
    if len(found) != 1:
        raise click.UsageError(f"The registry lets one log in with these providers: {names}. Choose with --provider.")
    return found[0]
