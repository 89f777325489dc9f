# SPDX-License-Identifier: Apache-2.0
"""Passes: what a transaction shows PostgreSQL to see the rows of one tenant.

A pass is ``<tenant>.<HMAC-SHA256 of the tenant, in hex>`` (RFC 2104) under a key that lies in a table which only the owner of
the tables may read. The application holds the key in memory and shows one pass at the start of each transaction. Whoever
manages to run SQL of their own inside a tenant's transaction can change the setting, but can make no other tenant's pass:
they see and change that tenant's rows and no others. docs/adr/0013-row-level-security.md has the argument.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from typing import Final

PASS_SETTING: Final = "furoshiki.tenant"  # noqa: S105 - the setting's name
KEY_BYTES: Final = 32

_BLOCK_BYTES: Final = 64  # of SHA-256
_REMEMBERED: Final = 4096


class TenantPasses:
    """Makes passes.

    Args:
        key: The secret that the database holds too.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._made: OrderedDict[str, str] = OrderedDict()

    def of(self, tenant: str) -> str:
        """The pass for one tenant, or for ``EVERY_TENANT``."""
        found = self._made.get(tenant)
        if found is None:
            found = self._made[tenant] = f"{tenant}.{hmac.new(self._key, tenant.encode(), hashlib.sha256).hexdigest()}"
            if len(self._made) > _REMEMBERED:
                self._made.popitem(last=False)
        return found


def new_key() -> bytes:
    """A random key."""
    return secrets.token_bytes(KEY_BYTES)


def pads(key: bytes) -> tuple[bytes, bytes]:
    """The inner and outer pad of a key: with them HMAC is two plain hashes, which SQL can do."""
    filled = key.ljust(_BLOCK_BYTES, b"\0")
    return bytes(byte ^ 0x36 for byte in filled), bytes(byte ^ 0x5C for byte in filled)
