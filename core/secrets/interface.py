# SPDX-License-Identifier: Apache-2.0
"""The port of whoever keeps secrets, and how a setting refers to one.

    env://NAME                 another environment variable
    file:///run/secrets/name   a file; one line break at its end is not part of the value
    vault://mount/path#field   a field of a KV version 2 secret of HashiCorp Vault or OpenBao

A reference says where a secret lies and is no secret itself: it may be shown. A value may not, see :class:`Revealed`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Protocol

_REFERENCE: Final = re.compile(r"(?P<scheme>env|file|vault)://(?P<path>[^#]*)(#(?P<field>.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Where a secret lies."""

    scheme: str  # "env", "file" or "vault"
    path: str  # what follows "://"
    field: str | None = None  # what follows "#"; None: nothing does

    def __str__(self) -> str:
        return f"{self.scheme}://{self.path}" + ("" if self.field is None else f"#{self.field}")


def parse_reference(text: str) -> Reference | None:
    """The reference that ``text`` is; None if it is a plain value."""
    found = _REFERENCE.fullmatch(text)
    return found and Reference(scheme=found["scheme"], path=found["path"], field=found["field"])


class Revealed(str):
    """The value of a reference. ``repr`` hides it, so that messages and logs of what holds it do."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'**'"


class SecretProvider(Protocol):
    """Reads the secrets of one scheme. May be called from several threads at once."""

    def read(self, reference: Reference) -> Revealed:
        """The value.

        Raises:
            InvalidRequest: ``VALID_002`` if the reference is malformed or there is no such secret.
            Unavailable: ``STORE_001`` if the keeper of secrets cannot answer now.
        """
        ...
