# SPDX-License-Identifier: Apache-2.0
"""Exit codes of ``furo``. A code never changes its meaning; scripts may rely on it."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from furoshiki.errors import (
    AuthError,
    FuroshikiError,
    JobFailed,
    NotFound,
    ServerFault,
    SignatureRefused,
    TransientError,
)


class Exit(IntEnum):
    """Every exit code; the text behind each is what ``furo --help`` says about it."""

    text: str

    def __new__(cls, code: int, text: str) -> Exit:
        member = int.__new__(cls, code)
        member._value_ = code
        member.text = text
        return member

    OK = 0, "done"
    BUG = 1, "a fault of furo itself"
    USAGE = 2, "wrong options or arguments"
    REQUEST = 3, "the request, file or configuration must be changed"
    AUTH = 4, "no key, a wrong key, or one without the needed role"
    NOT_FOUND = 5, "what was named does not exist"
    UNAVAILABLE = 6, "try again later: overloaded, timed out or not reachable"
    SIGNATURE = 7, "the signature or a digest is refused: do not use the files"
    JOB_FAILED = 8, "the build, deployment or other job failed"
    SERVER = 9, "the service failed: ask its operator, naming the request id"
    INTERRUPTED = 130, "stopped by Ctrl-C"


_BY_KIND: Final = (
    (SignatureRefused, Exit.SIGNATURE),
    (JobFailed, Exit.JOB_FAILED),
    (AuthError, Exit.AUTH),
    (NotFound, Exit.NOT_FOUND),
    (TransientError, Exit.UNAVAILABLE),
    (ServerFault, Exit.SERVER),
)


def exit_of(error: FuroshikiError) -> Exit:
    """The exit code for an error."""
    return next((code for kind, code in _BY_KIND if isinstance(error, kind)), Exit.REQUEST)
