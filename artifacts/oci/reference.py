# SPDX-License-Identifier: Apache-2.0
"""References to images: ``host[:port]/repository[:tag][@sha256:digest]``.

The registry is always named: which registry a short name means is a setting of other tools, and guessing it has let strangers
answer. Grammar after the distribution specification v1.1. A tag is for people; what is deployed is referred to by digest.

Law: ``parse_reference(str(reference)) == reference``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from artifacts.digest import DIGEST_PATTERN, Digest
from core.errors import ErrorCode, InvalidRequest

MAX_REPOSITORY: Final = 255  # characters
MAX_HOST: Final = 262  # characters, with the port
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST: Final = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])"
_PART: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_TAG: Final = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
_REFERENCE: Final = re.compile(
    rf"(?P<host>{_HOST}(?::[0-9]{{1,5}})?)/(?P<repository>{_PART}(?:/{_PART})*)"
    rf"(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{DIGEST_PATTERN}))?"
)
_REPOSITORY: Final = re.compile(rf"{_PART}(?:/{_PART})*")
_HOST_ALONE: Final = re.compile(rf"{_HOST}(?::(?P<port>[0-9]{{1,5}}))?")
_TAG_ALONE: Final = re.compile(_TAG)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Where an image is. Made by :func:`parse_reference`."""

    host: str  # "registry.example:5000"
    repository: str  # "acme/digits"
    tag: str | None = None
    digest: Digest | None = None

    def __str__(self) -> str:
        tag = "" if self.tag is None else f":{self.tag}"
        digest = "" if self.digest is None else f"@{self.digest}"
        return f"{self.host}/{self.repository}{tag}{digest}"

    @property
    def pinned(self) -> bool:
        """Whether it always means the same image."""
        return self.digest is not None

    def at(self, digest: Digest) -> Reference:
        """The same repository by digest, without a tag."""
        return Reference(host=self.host, repository=self.repository, digest=digest)


def parse_reference(text: str) -> Reference:
    """Reads a reference.

    Raises:
        InvalidRequest: ``VALID_002`` if it is none, or names no registry.
    """
    found = _REFERENCE.fullmatch(text) if len(text) <= 1024 else None
    if found is None or not _names_host(found["host"]):
        raise _invalid("reference", text, "'host[:port]/repository[:tag][@sha256:...]', with the registry's host")
    check_host(found["host"])
    return Reference(
        host=found["host"], repository=check_repository(found["repository"]), tag=found["tag"], digest=found["digest"]
    )


def check_host(host: str) -> str:
    """Returns ``host`` if it is a host and at most a port: no user, path or query.

    Raises:
        InvalidRequest: ``VALID_002`` if not.
    """
    found = _HOST_ALONE.fullmatch(host) if len(host) <= MAX_HOST else None
    if found is None or int(found["port"] or 1) not in range(1, 65536):
        raise _invalid("registry", host, "'host[:port]'")
    return host


def check_repository(name: str) -> str:
    """Returns ``name`` if a registry may hold a repository of that name.

    Raises:
        InvalidRequest: ``VALID_002`` if not.
    """
    if len(name) > MAX_REPOSITORY or _REPOSITORY.fullmatch(name) is None:
        raise _invalid("repository", name, "lower-case letters and digits, in parts separated by '/'")
    return name


def check_tag(tag: str) -> str:
    """Returns ``tag`` if it may be one.

    Raises:
        InvalidRequest: ``VALID_002`` if not.
    """
    if _TAG_ALONE.fullmatch(tag) is None:
        raise _invalid("tag", tag, "1 to 128 of letters, digits, '_', '.', '-', not starting with '.' or '-'")
    return tag


def _names_host(host: str) -> bool:
    """What tells a registry from the first part of a repository, everywhere."""
    return host.startswith("[") or "." in host or ":" in host or host == "localhost"


def _invalid(field: str, got: str, expected: str) -> InvalidRequest:
    return InvalidRequest(
        ErrorCode.INVALID_FIELD,
        f"Image {field} {got[:120]!a} is not one; expected {expected}.",
        details={"field": field},
    )
