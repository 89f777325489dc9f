# SPDX-License-Identifier: Apache-2.0
"""The form of an API key: ``furo_<id>_<secret>``, a 64-bit public id and a 256-bit secret in hexadecimal.

Only the SHA-256 of the secret is stored. A slow password hash would add nothing: 256 random bits cannot be guessed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import Final

_FORM: Final = re.compile(r"furo_([0-9a-f]{16})_([0-9a-f]{64})")
_NOTHING: Final = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A well-formed key; whether it opens anything is another question. The secret stays out of its repr."""

    id: str
    secret: str = field(repr=False)

    @property
    def plaintext(self) -> str:
        """What the owner keeps."""
        return f"furo_{self.id}_{self.secret}"

    @property
    def secret_hash(self) -> str:
        """What the registry keeps."""
        return hashlib.sha256(bytes.fromhex(self.secret)).hexdigest()

    def matches(self, stored_hash: str | None) -> bool:
        """Compares in constant time; None (no such key) costs the same and is False."""
        same = hmac.compare_digest(self.secret_hash, stored_hash or _NOTHING)
        return same and stored_hash is not None


def mint() -> Credential:
    """A new credential from the system's random source."""
    return Credential(id=secrets.token_hex(8), secret=secrets.token_hex(32))


def parse(text: str) -> Credential | None:
    """The credential written in ``text``; None if it has not the form of one."""
    found = _FORM.fullmatch(text)
    return None if found is None else Credential(id=found[1], secret=found[2])
