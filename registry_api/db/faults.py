# SPDX-License-Identifier: Apache-2.0
"""What a database reports, in our words.

Rules. Before the commit, a lost connection, a restarted server or a conflict means that nothing was changed, and says so
(``STORE_001``, retryable). While a commit is under way nobody can know: the answer says exactly that. Text and numbers that a
database cannot hold are the caller's to change, never a fault of ours. Everything else is left as it is: a bug to be seen.

Codes are PostgreSQL's SQLSTATE (appendix A of its manual) and SQLite's primary result codes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from core.errors import ErrorCode, FuroshikiError, InvalidRequest, Unavailable

RETRY_SECONDS: Final = 1.0

_BUSY: Final = "The registry's database is busy or out of reach; nothing was changed. Repeat the request."
_UNREACHABLE: Final = (
    "The registry's database cannot be reached at the moment; nothing was changed. Repeat the request."
)
_CONFLICT: Final = "Another change came in between; nothing was changed. Repeat the request."
_SLOW: Final = "The registry's database took longer than it may; nothing was changed. Repeat the request later."
_READ_ONLY: Final = (
    "The registry's database takes no changes at the moment; nothing was changed. Repeat the request later."
)

_BY_STATE: Final = {
    "40001": _CONFLICT,  # serialization_failure
    "40P01": _CONFLICT,  # deadlock_detected
    "55P03": _CONFLICT,  # lock_not_available: lock_timeout
    "57014": _SLOW,  # query_canceled: statement_timeout
    "25P03": _SLOW,  # idle_in_transaction_session_timeout
    "25006": _READ_ONLY,  # read_only_sql_transaction: the server is a replica
    "53300": _BUSY,  # too_many_connections
    "53200": _BUSY,  # out_of_memory
    "53400": _BUSY,  # configuration_limit_exceeded
    "3D000": _UNREACHABLE,  # invalid_catalog_name: the database is being replaced
}
_BY_CLASS: Final = {
    "08": _UNREACHABLE,  # connection exceptions
    "28": _UNREACHABLE,  # invalid authorization: the role's password is being changed
    "57": _UNREACHABLE,  # operator intervention: shutdown, crash, starting up
}
_DISK_FULL: Final = "53100"
_VALUE: Final = frozenset({"22001", "22003", "22008", "22021", "22P05"})  # too long, too large, not a text of UTF-8
_TOO_LARGE: Final = "54000"  # program_limit_exceeded: larger than an index takes


@contextmanager
def translated() -> Iterator[None]:
    """Raises what the database reports inside the block in our words.

    Raises:
        Unavailable: ``STORE_001`` or ``STORE_004``; nothing was changed.
        InvalidRequest: ``VALID_002`` or ``VALID_003``: a value no database column takes.
    """
    try:
        yield
    except PoolTimeout as error:
        raise unavailable(_BUSY, error) from error
    except DBAPIError as error:
        ours = translate(error)
        if ours is None:
            raise
        raise ours from error
    except (OverflowError, UnicodeEncodeError) as error:  # SQLite's driver: beyond 64 bits, half a surrogate
        raise _value(error) from error


@contextmanager
def connecting() -> Iterator[None]:
    """As :func:`translated`, around making or taking a connection: drivers report that in errors of their own."""
    try:
        with translated():
            yield
    except (OSError, TimeoutError) as error:
        raise unavailable(_UNREACHABLE, error) from error
    except Exception as error:
        state = getattr(error, "sqlstate", None)
        if not isinstance(state, str):
            raise
        raise _from_state(state, error) or unavailable(_UNREACHABLE, error) from error


@contextmanager
def committing() -> Iterator[None]:
    """As :func:`translated`, around a commit: a connection lost here leaves it open whether the change took effect.

    Raises:
        Unavailable: ``STORE_001`` with the detail ``outcome: unknown``.
    """
    try:
        with translated():
            yield
    except Unavailable as error:
        if _lost(error.__cause__):
            raise Unavailable(
                ErrorCode.STORE_UNAVAILABLE,
                "The connection to the registry's database broke while the change was being confirmed: it may have taken "
                "effect or not. Look before you repeat the request.",
                details={"outcome": "unknown"},
                retry_after=RETRY_SECONDS,
                log_context={"cause": str(error.__cause__)},
            ) from error.__cause__
        raise
    except OSError as error:
        raise unavailable(_UNREACHABLE, error) from error


def translate(error: DBAPIError) -> FuroshikiError | None:
    """Our word for a driver's error; None if it is nobody's but ours."""
    cause: BaseException = error.orig or error
    state = getattr(cause, "sqlstate", None)
    if isinstance(state, str) and (known := _from_state(state, cause)) is not None:
        return known
    if error.connection_invalidated:
        return unavailable(_UNREACHABLE, cause)
    if type(cause.__cause__).__name__ == "DataError":  # asyncpg: a value it cannot encode for its column
        return _value(cause)
    return _from_sqlite(cause)


def unavailable(message: str, cause: BaseException | None) -> Unavailable:
    """``STORE_001``: the same request may succeed soon."""
    context = {"cause": str(cause)}
    return Unavailable(ErrorCode.STORE_UNAVAILABLE, message, retry_after=RETRY_SECONDS, log_context=context)


def busy(cause: BaseException | None) -> Unavailable:
    """``STORE_001``: no turn came in time."""
    return unavailable(_BUSY, cause)


def _from_state(state: str, cause: BaseException) -> FuroshikiError | None:
    if state == _DISK_FULL:
        return _full(cause)
    if state in _VALUE:
        return _value(cause)
    if state == _TOO_LARGE:
        context = {"cause": str(cause)}
        return InvalidRequest(ErrorCode.TOO_LARGE, "A value is larger than the database takes.", log_context=context)
    message = _BY_STATE.get(state) or _BY_CLASS.get(state[:2])
    return None if message is None else unavailable(message, cause)


def _from_sqlite(cause: BaseException) -> FuroshikiError | None:
    code = getattr(cause, "sqlite_errorcode", None)
    match code & 0xFF if isinstance(code, int) else None:  # the low byte is the primary result code
        case sqlite3.SQLITE_FULL:
            return _full(cause)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return busy(cause)
        case sqlite3.SQLITE_READONLY:
            return unavailable(_READ_ONLY, cause)
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_IOERR:
            return unavailable(_UNREACHABLE, cause)
    return None


def _full(cause: BaseException) -> Unavailable:
    return Unavailable(
        ErrorCode.STORE_FULL,
        "The registry's database has no room left; nothing was changed. Free disk space and repeat the request.",
        log_context={"cause": str(cause)},
    )


def _value(cause: BaseException) -> InvalidRequest:
    return InvalidRequest(
        ErrorCode.INVALID_FIELD,
        "A value cannot be stored: a text is too long or holds the character U+0000, or a number exceeds 64 bits.",
        log_context={"cause": str(cause)},
    )


def _lost(cause: BaseException | None) -> bool:
    if not isinstance(cause, DBAPIError):
        return False
    state = getattr(cause.orig, "sqlstate", None)
    return cause.connection_invalidated or (isinstance(state, str) and state[:2] in {"08", "57"})
