# SPDX-License-Identifier: Apache-2.0
"""API keys and tokens side by side, told apart by their shape: only a token has two dots."""

from __future__ import annotations

from services.edge.auth.interface import Directory, Identified


class EitherDirectory:
    """Implements :class:`services.edge.auth.interface.Directory` by asking the right one of two.

    Args:
        api_keys: Knows API keys.
        tokens: Knows tokens.
    """

    def __init__(self, *, api_keys: Directory, tokens: Directory) -> None:
        self._api_keys = api_keys
        self._tokens = tokens

    async def whoami(self, credential: str) -> Identified:
        directory = self._tokens if credential.count(".") == 2 else self._api_keys
        return await directory.whoami(credential)
