# SPDX-License-Identifier: Apache-2.0
"""What may be uploaded. Pure: it looks at the declaration, not at bytes."""

from __future__ import annotations

from collections.abc import Sequence

from artifacts.formats import FORMATS, detect
from artifacts.manifest import FileEntry
from artifacts.paths import check_distinct
from core.errors import ErrorCode, InvalidRequest, ModelError


def check_files(
    files: Sequence[FileEntry],
    *,
    format: str,  # noqa: A002
    max_files: int,
    max_bytes: int,
    max_total: int,
) -> None:
    """Checks a declared file list.

    Args:
        files: Entries whose paths and digests are well formed.
        format: What the caller says they are: a key of :data:`artifacts.formats.FORMATS`.
        max_files: The most files of one upload.
        max_bytes: The most bytes of one file.
        max_total: The most bytes of all files together.

    Raises:
        InvalidRequest: ``VALID_003`` over a limit, ``VALID_002`` unless exactly one file is the model.
        ModelError: ``MODEL_003`` if they are of several formats, or one is a pickle by its name.
        SignatureError: ``SIGN_007`` if two paths are the same file on some system.
    """
    if not 0 < len(files) <= max_files:
        raise InvalidRequest(ErrorCode.TOO_LARGE, f"The upload declares {len(files)} files; expected 1 to {max_files}.")
    large = next((entry for entry in files if entry.size > max_bytes), None)
    if large is not None:
        raise InvalidRequest(
            ErrorCode.TOO_LARGE, f"File {large.path!r} has {large.size} bytes; the limit is {max_bytes}."
        )
    check_total(files, max_total=max_total)
    check_distinct(entry.path for entry in files)
    model_file(files, format=format)
    detect(entry.path for entry in files)


def check_total(files: Sequence[FileEntry], *, max_total: int) -> None:
    """Checks what the files are together: all of them are copied when the model is inspected.

    Raises:
        InvalidRequest: ``VALID_003`` over the limit.
    """
    total = sum(entry.size for entry in files)
    if total > max_total:
        raise InvalidRequest(
            ErrorCode.TOO_LARGE,
            f"The upload's {len(files)} files have {total} bytes together; the limit is {max_total}.",
            details={"size": total, "limit": max_total},
        )


def model_file(files: Sequence[FileEntry], *, format: str) -> FileEntry:  # noqa: A002
    """The one file that is the model; all others accompany it.

    Raises:
        InvalidRequest: ``VALID_002`` if there is none or more than one.
    """
    try:
        path = FORMATS[format].main(entry.path for entry in files)
    except ModelError as error:
        raise InvalidRequest(
            ErrorCode.INVALID_FIELD,
            f"The upload declares no model of format {format!r}. {error.message}",
            details={"field": "files", **error.details},
        ) from None
    return next(entry for entry in files if entry.path == path)
