# SPDX-License-Identifier: Apache-2.0
"""Uploads as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from artifacts.manifest import FileEntry


class UploadState(StrEnum):
    """Where an upload stands; the comment on each line is its meaning."""

    OPEN = "open"  # files may be sent
    COMPLETED = "completed"  # it became a version
    ABORTED = "aborted"  # given up by its owner, or expired; housekeeping removes it


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUpload:
    """What a caller wants to send."""

    model: str
    format: str
    files: tuple[FileEntry, ...]
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A declared set of files on its way to become a version. Which of them arrived, the blob store knows."""

    id: str
    tenant: str
    model: str
    format: str
    files: tuple[FileEntry, ...]
    metadata: Mapping[str, str]
    state: UploadState
    version: int | None  # None until it is completed
    created_at: datetime
    expires_at: datetime  # an open upload is gone then

    def file(self, path: str) -> FileEntry | None:
        """The file declared at ``path``; None if there is none."""
        return next((entry for entry in self.files if entry.path == path), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A declared file and what of it is in the store."""

    entry: FileEntry
    whole: bool  # whether all of it is, checked
    parts: tuple[int, ...] = ()  # numbers of the parts that are, if it is not whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """An upload and how far its files are, in the order they were declared."""

    upload: Upload
    files: tuple[Arrived, ...]
    part_bytes: int  # size of a part

    @property
    def received(self) -> frozenset[str]:
        """Paths whose bytes are in the store."""
        return frozenset(file.entry.path for file in self.files if file.whole)

    @property
    def missing(self) -> tuple[str, ...]:
        """Paths still to be sent, in the order they were declared."""
        return tuple(file.entry.path for file in self.files if not file.whole)
