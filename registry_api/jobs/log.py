# SPDX-License-Identifier: Apache-2.0
"""How much of a job's output is kept: the beginning, up to a limit, then one line that says so."""

from __future__ import annotations

from typing import Final

NOTICE: Final = b"\n[the log's limit is reached; further lines are not kept]\n"
STEP_CHARS: Final = 200
READ_BYTES: Final = 1 << 20  # the most a reader gets at once


def fit(text: str, *, size: int, limit: int) -> bytes:
    """The part of ``text`` that still fits a log of ``size`` bytes.

    Law: ``size + len(fit(text)) <= limit``, and once something was cut the log ends with :data:`NOTICE` and stays as it is.

    Args:
        text: What is to be appended.
        size: Bytes the log has.
        limit: The most bytes it may have; larger than the notice.
    """
    data = text.encode("utf-8", "replace")
    room = limit - len(NOTICE) - size  # always keep space for the notice
    if len(data) <= room:
        return data
    if size + len(NOTICE) > limit:
        return b""  # the notice is there already
    return data[: max(0, room)].decode("utf-8", "ignore").encode() + NOTICE
