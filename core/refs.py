# SPDX-License-Identifier: Apache-2.0
"""Names, versions, and references to versions: ``acme/digits@3``.

Names of tenants, models and aliases share one grammar: a lower-case letter or digit, then up to 62 lower-case letters,
digits, ``-``, ``_`` or ``.``. It is safe as a path segment, an OCI repository component, a metric label and a Bento name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from core.errors import ErrorCode, InvalidRequest

NAME_PATTERN: Final = r"[a-z0-9][a-z0-9._-]{0,62}"
_NAME: Final = re.compile(NAME_PATTERN)
_VERSION: Final = re.compile(r"[1-9][0-9]{0,9}")


def parse_name(text: str, *, what: str) -> str:
    """Returns ``text`` if it is a legal name.

    Raises:
        InvalidRequest: ``VALID_002`` if it is not.
    """
    if _NAME.fullmatch(text) is None or ".." in text:
        raise InvalidRequest(
            ErrorCode.INVALID_FIELD,
            f"{what} {text[:80]!r} is not a legal name; expected 1-63 characters of a-z, 0-9, '.', '_', '-', "
            "starting with a letter or digit and without '..'.",
            details={"field": what},
        )
    return text


def parse_version(text: str) -> int:
    """Returns the version number written in ``text`` (1 to 9,999,999,999).

    Raises:
        InvalidRequest: ``VALID_002`` if it is not a version number.
    """
    if _VERSION.fullmatch(text) is None:
        raise InvalidRequest(
            ErrorCode.INVALID_FIELD,
            f"Version {text[:80]!r} is not a positive whole number.",
            details={"field": "version"},
        )
    return int(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """One version of one model of one tenant; its text is ``acme/digits@3``."""

    tenant: str
    model: str
    version: int

    def __str__(self) -> str:
        return f"{self.tenant}/{self.model}@{self.version}"
