# SPDX-License-Identifier: Apache-2.0
"""API keys and tokens side by side."""

from __future__ import annotations

import pytest

from artifacts.tokens.testing import TokenSigner
from services.edge.auth import Identified
from services.edge.auth.either import EitherDirectory
from services.edge.context import Principal


class Named:
    """Knows everybody, by its own name."""

    def __init__(self, name: str) -> None:
        self._principal = Principal(tenant=name, key_id="k")

    async def whoami(self, credential: str) -> Identified:
        return Identified(principal=self._principal, expires_at=None)


@pytest.mark.parametrize(
    ("credential", "expected"),
    [
        ("furo_0123456789abcdef_" + "0" * 64, "keys"),
        ("eyJ.eyJ", "keys"),
        ("a.b.c.d.e", "keys"),
        (TokenSigner("EdDSA").sign({"iss": "x"}), "tokens"),
        ("..", "tokens"),
    ],
)
async def test_the_shape_tells_which(credential: str, expected: str) -> None:
    """Three parts are a token; everything else, an encrypted token too, is looked up as a key and found by nobody."""
    either = EitherDirectory(api_keys=Named("keys"), tokens=Named("tokens"))
    assert (await either.whoami(credential)).principal.tenant == expected
