# SPDX-License-Identifier: Apache-2.0
"""The history of a tenant: who did what, when and why, as a signed chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from furoshiki.api import API
from furoshiki.resource import D, Resource, listing, operation
from furoshiki.steps import Items, Request, Steps


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One entry."""

    seq: int  # 1, 2, 3 ... without a gap
    at: datetime
    actor: str
    actor_key: str  # empty: the platform itself
    action: str  # "version.stage_changed"
    subject: str  # "digits@3"
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    reason: str = ""
    evidence: Mapping[str, Any] | None = None
    previous: str  # hash of the entry before it
    hash: str


class Audit(Resource[D]):
    """``client.audit``."""

    @listing
    def list(self, *, resource: str | None = None, action: str | None = None) -> Items[AuditEntry]:
        """What happened, newest first.

        Args:
            resource: Only to this, such as the model ``digits``.
            action: Only this, such as ``version.stage_changed``.
        """
        wanted = {"resource": resource, "action": action}
        query = {name: value for name, value in wanted.items() if value is not None}
        yield from self._api.pages("/audit", AuditEntry, {**query})

    @operation
    def export(self, target: Path | str) -> Steps[Path]:
        """Writes the signed history to a file, for :func:`furoshiki.verify_history`.

        Args:
            target: The file; replaced when everything has arrived.
        """
        place = Path(target)
        part = place.with_name(f"{place.name}.part")
        with part.open("wb") as file:
            yield from self._api.send(Request(method="GET", path=f"{API}/audit/export", sink=_File(file)))
        part.replace(place)
        return place


class _File:
    """Takes a reply's body."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def restart(self) -> None:
        """Begins anew."""
        self._file.seek(0)
        self._file.truncate()

    def write(self, chunk: bytes) -> None:
        """Takes the next bytes."""
        self._file.write(chunk)
