# SPDX-License-Identifier: Apache-2.0
"""Errors across the boundary: ``revived(described(error))`` has the class, code, message and facts of ``error``."""

from __future__ import annotations

from typing import Any, Final

from core.errors import ErrorCode, FuroshikiError, OperatorError
from runners.remote.messages import Failure, encode


def _family(kind: type[FuroshikiError]) -> dict[str, type[FuroshikiError]]:
    found = {kind.__name__: kind}
    for child in kind.__subclasses__():
        found |= _family(child)
    return found


_KINDS: Final = _family(FuroshikiError)


def described(error: FuroshikiError) -> bytes:
    """The error as the head of a frame. Facts that cannot travel are left out, never the error."""
    details, log_context = error.details, error.log_context
    try:
        return encode(_failure(error, details, log_context))
    except (ValueError, OverflowError):  # a lone surrogate, a number beyond 64 bits
        return encode(_failure(error, {}, {"left_out": ascii(details | log_context)}))


def _failure(error: FuroshikiError, details: dict[str, Any], log_context: dict[str, Any]) -> Failure:
    message = error.message.encode(errors="replace").decode()
    return Failure(type(error).__name__, error.code, message, details, log_context, error.retry_after)


def revived(failure: Failure) -> FuroshikiError:
    """The error of a message. A class or code this process does not know becomes ``INTERNAL_001``."""
    kind = _KINDS.get(failure.kind)
    if kind is None or failure.code not in ErrorCode.__members__.values():
        return unexpected(said=str(failure))
    return kind(
        ErrorCode(failure.code),
        failure.message,
        details=failure.details,
        log_context=failure.log_context,
        retry_after=failure.retry_after,
    )


def unexpected(**log_context: object) -> OperatorError:
    """What a caller may know of a fault of ours."""
    return OperatorError(
        ErrorCode.INTERNAL,
        "The service failed unexpectedly; quote the request id when you report it.",
        log_context=log_context,
    )
