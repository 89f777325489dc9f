# SPDX-License-Identifier: Apache-2.0
"""The schedule policy extension: when a request must be answered, and how urgent it is among its tenant's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from core.errors import ErrorCode, InvalidRequest

_SEQUENCE: Final = ("sequence_id", "sequence_start", "sequence_end")
_SCHEDULED: Final = frozenset({*_SEQUENCE, "timeout", "priority"})
LEAST_URGENT: Final = 2**31 - 1


def schedule(parameters: Mapping[str, Any], now: float) -> tuple[float | None, int]:
    """The deadline on the clock of ``now`` and the priority that a request's parameters ask for.

    Args:
        parameters: As the protocol gave them, each value of its plain Python type.
        now: The event loop's time.

    Raises:
        InvalidRequest: ``VALID_002`` if ``timeout`` is not whole microseconds, ``priority`` no whole number from 0, or the
            request belongs to a sequence.
    """
    if _SCHEDULED.isdisjoint(parameters):
        return None, 0
    for name in _SEQUENCE:
        if parameters.get(name):
            raise InvalidRequest(
                ErrorCode.INVALID_FIELD,
                f"Parameter {name!r}: this server keeps no state between requests; send each without a sequence.",
            )
    timeout = _whole(parameters, "timeout", 2**63 - 1, "microseconds")
    priority = _whole(parameters, "priority", LEAST_URGENT, "1 is the highest, 0 the default;")
    return (now + timeout / 1e6 if timeout else None), priority


def _whole(parameters: Mapping[str, Any], name: str, most: int, meaning: str) -> int:
    value = parameters.get(name, 0)
    if type(value) is not int or not 0 <= value <= most:
        raise InvalidRequest(
            ErrorCode.INVALID_FIELD,
            f"Parameter {name!r} is {str(value)[:40]!r}; expected {meaning} a whole number from 0 to {most}.",
        )
    return value
