# SPDX-License-Identifier: Apache-2.0
"""A registry that believes a real OpenID provider."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.local.components.oidc import AUDIENCE, CLIENT, SCOPES, Provider
from registry_api.http.access import Role
from registry_api.settings.identity import OidcIssuer, OidcSettings
from tests.integration.registry_api.rest import Api, api, open_api

__all__ = ["api", "trusting"]


@pytest.fixture
async def trusting(tmp_path: Path, oidc: Provider) -> AsyncIterator[Api]:
    """Its keys are looked at again after a tenth of a second, so that no test waits."""
    corp = OidcIssuer(
        issuer=oidc.issuer,
        audience=(CLIENT, AUDIENCE),
        roles={"admins": (Role.TENANT_ADMIN,), "viewers": (Role.VIEWER,)},
        client_id=CLIENT,
        scopes=SCOPES,
    )
    settings = OidcSettings(issuers={"corp": corp}, fresh_seconds=0.1, grace_seconds=0, refetch_seconds=0.05)
    async with open_api(tmp_path / "home", oidc=settings) as api:
        yield api
