# SPDX-License-Identifier: Apache-2.0
"""Reads the log the supervisor writes: by absolute offset, and the last lines for an error message."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from registry_api.deployments.supervisor import SUFFIX
from registry_api.deployments.target import LOGS

TAIL_BYTES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPart:
    """A piece of a log."""

    data: bytes
    start: int  # offset of the first byte of ``data``; later than asked for where the beginning is no longer kept
    size: int  # bytes ever written


def newest(folder: Path) -> str | None:
    """The instance whose log began last in a deployment's folder; None if there is no log.

    Not the one that wrote last: a log is followed by its offset, and several write by turns.
    """
    begun = []
    for path in folder.glob(f"*/{LOGS}"):
        with suppress(FileNotFoundError):  # removed since it was listed
            begun.append((path.parent.stat().st_mtime_ns, path.parent.name))
    return max(begun)[1] if begun else None


def read_log(folder: Path, *, offset: int, limit: int) -> LogPart:
    """At most ``limit`` bytes from ``offset`` on; an empty part where there is no log (yet) or nothing new."""
    segments = sorted((int(path.stem), path) for path in folder.glob(f"*{SUFFIX}"))
    if not segments:
        return LogPart(data=b"", start=0, size=0)
    size = segments[-1][0] + segments[-1][1].stat().st_size
    start = min(max(offset, segments[0][0]), size)
    data = bytearray()
    for first, path in segments:
        position = start + len(data) - first
        if position >= 0 and len(data) < limit:
            with suppress(FileNotFoundError), path.open("rb") as file:  # removed since it was listed
                file.seek(position)
                data += file.read(limit - len(data))
    return LogPart(data=bytes(data), start=start, size=size)


def last_lines(folder: Path, count: int = 15) -> str:
    """The last ``count`` lines, from at most the last 4 KiB."""
    size = read_log(folder, offset=0, limit=0).size
    part = read_log(folder, offset=max(0, size - TAIL_BYTES), limit=TAIL_BYTES)
    return "\n".join(part.data.decode("utf-8", "replace").splitlines()[-count:])
