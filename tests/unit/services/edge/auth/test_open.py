# SPDX-License-Identifier: Apache-2.0
"""A service without credentials."""

from __future__ import annotations

from services.edge.auth import OpenAuth


async def test_open_mode_asks_for_nothing() -> None:
    """Everybody is the one tenant, at once."""
    authenticator = OpenAuth("acme")
    assert (await authenticator.authenticate({})).tenant == "acme"
    assert authenticator.known({}) is await authenticator.authenticate({b"x-api-key": b"any"})
