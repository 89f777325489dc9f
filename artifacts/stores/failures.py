# SPDX-License-Identifier: Apache-2.0
"""What obstore and the system raise, said in our errors."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from obstore.exceptions import BaseError

from artifacts.digest import Digest
from core.errors import ErrorCode, NotFound, StoreError, Unavailable

FULL_RETRY_SECONDS: Final = 60.0
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_OS_ERROR: Final = re.compile(r"\(os error (\d+)\)")
_FULL_REMOTE: Final = re.compile(r"<Code>(QuotaExceeded|EntityTooLarge|InsufficientCapacity)</Code>|507 Insufficient")
_NO_BUCKET: Final = "<Code>NoSuchBucket</Code>"


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Turns what obstore and the system raise into our errors; ours pass. ``name`` is what messages call the object."""
    try:
        yield
    except FileNotFoundError as error:
        if _NO_BUCKET in str(error):
            raise _unavailable(name, error) from error
        raise not_found(name) from None
    except (BaseError, OSError) as error:
        numbers = {int(found) for found in _OS_ERROR.findall(str(error))} | {getattr(error, "errno", None)}
        if numbers & _FULL or _FULL_REMOTE.search(str(error)):
            raise Unavailable(
                ErrorCode.STORE_FULL,
                f"The blob store has no room for {name}. Free space, then try again.",
                details={"digest": name},
                log_context={"cause": str(error)},
                retry_after=FULL_RETRY_SECONDS,
            ) from error
        raise _unavailable(name, error) from error


def not_found(digest: Digest) -> NotFound:
    """There is no such blob: ``STORE_002``."""
    return NotFound(ErrorCode.BLOB_NOT_FOUND, f"There is no blob {digest}.", details={"digest": digest})


def corrupt(digest: Digest, fault: str, **facts: str) -> StoreError:
    """A blob is damaged: ``STORE_003``."""
    return StoreError(
        ErrorCode.BLOB_CORRUPT,
        f"Blob {digest} is damaged: {fault}. Delete it and upload it again.",
        details={"digest": digest, **facts},
    )


def _unavailable(name: str, error: Exception) -> Unavailable:
    return Unavailable(
        ErrorCode.STORE_UNAVAILABLE,
        "The blob store cannot be reached. Try again later.",
        log_context={"cause": str(error), "digest": name},
    )
