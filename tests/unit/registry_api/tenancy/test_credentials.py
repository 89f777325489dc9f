# SPDX-License-Identifier: Apache-2.0
"""The form of API keys."""

from __future__ import annotations

import pytest

from registry_api.tenancy.credentials import mint, parse


def test_a_minted_key_parses_to_itself_and_opens_its_own_hash_only() -> None:
    """256 bits of secret; another key's hash and no hash at all do not match."""
    one, two = mint(), mint()
    assert parse(one.plaintext) == one
    assert len(bytes.fromhex(one.secret)) == 32
    assert one.matches(one.secret_hash)
    assert not one.matches(two.secret_hash)
    assert not one.matches(None)


def test_a_key_does_not_show_its_secret() -> None:
    """Its repr and its hash hold none of it."""
    key = mint()
    assert key.secret not in repr(key)
    assert key.secret not in key.secret_hash


@pytest.mark.parametrize("text", ["", "furo_", "furo_0123456789abcdef_", "FURO_" + "0" * 16 + "_" + "0" * 64])
def test_other_text_is_no_key(text: str) -> None:
    """Prefix, lengths and alphabet are exact."""
    assert parse(text) is None
    assert parse(mint().plaintext + "\n") is None
