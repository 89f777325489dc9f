# SPDX-License-Identifier: Apache-2.0
"""Packages as the files that package managers leave tell of them: ``dpkg``'s status and Python's ``METADATA``.

Package URLs follow the ``purl`` specification, types ``deb`` and ``pypi``.
"""

from __future__ import annotations

import email.parser
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote

Kind = Literal["deb", "pypi"]

_SEPARATORS: Final = re.compile(r"[-_.]+")
_LICENCE_CHARS: Final = 100  # a longer "License" of a Python package is its text, not its name


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Package:
    """An installed package."""

    kind: Kind
    name: str
    version: str
    architecture: str = ""  # of Debian; empty for Python
    licence: str = ""  # as the package says, possibly no SPDX expression; empty: it does not say in one line

    @property
    def purl(self) -> str:
        """Its package URL."""
        name, version = quote(self.name, safe="+~"), quote(self.version, safe="+~:")
        if self.kind == "deb":
            return f"pkg:deb/debian/{name}@{version}?arch={quote(self.architecture)}"
        return f"pkg:pypi/{_SEPARATORS.sub('-', name).lower()}@{version}"


def installed_packages(files: Mapping[str, bytes]) -> tuple[Package, ...]:
    """The packages that these files tell of, sorted, each once.

    Args:
        files: ``var/lib/dpkg/status``, ``var/lib/dpkg/status.d/*`` and ``*.dist-info/METADATA``, by path; others are ignored.
    """
    found: set[Package] = set()
    for path, data in files.items():
        text = data.decode(errors="replace")
        if path.endswith(".dist-info/METADATA"):
            found.update(_python(text))
        elif path.startswith("var/lib/dpkg/status"):
            found.update(_debian(text))
    return tuple(sorted(found))


def _debian(text: str) -> Iterator[Package]:
    parser = email.parser.HeaderParser()
    for paragraph in re.split(r"\n\s*\n", text):
        fields = parser.parsestr(paragraph.lstrip("\n"))
        removed = "Status" in fields and not str(fields["Status"]).endswith(" installed")
        if "Package" in fields and "Version" in fields and not removed:
            yield Package(
                kind="deb",
                name=str(fields["Package"]),
                version=str(fields["Version"]),
                architecture=str(fields.get("Architecture", "all")),
            )


def _python(text: str) -> Iterator[Package]:
    fields = email.parser.HeaderParser().parsestr(text)
    if "Name" in fields and "Version" in fields:
        licence = str(fields.get("License-Expression") or fields.get("License") or "").strip()
        yield Package(
            kind="pypi",
            name=str(fields["Name"]),
            version=str(fields["Version"]),
            licence=licence if "\n" not in licence and len(licence) <= _LICENCE_CHARS else "",
        )
