# SPDX-License-Identifier: Apache-2.0
"""What the worker tells the child process that runs BentoML: one JSON file, no secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSpec:
    """One Bento to make. Paths are absolute."""

    context: str  # the folder whose files go in
    service: str  # "module:Class" of the BentoML service inside the context
    name: str
    version: str
    include: tuple[str, ...]  # patterns; a leading slash anchors one at the context
    labels: Mapping[str, str]
    archive: str  # where the tar of the Bento is written; must not exist
    lock: str  # file locked while the Bento's tag is replaced
    memory_bytes: int  # address space of the child

    @property
    def tag(self) -> str:
        """BentoML's name for the result."""
        return f"{self.name}:{self.version}"

    def write(self, path: Path) -> None:
        """Writes the file."""
        path.write_bytes(msgspec.json.encode(self))

    @classmethod
    def read(cls, path: Path) -> BuildSpec:
        """Reads the file.

        Raises:
            msgspec.ValidationError: If it is not one.
        """
        return msgspec.json.decode(path.read_bytes(), type=cls)
