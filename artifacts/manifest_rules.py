# SPDX-License-Identifier: Apache-2.0
"""What the fields of a manifest may hold. Every limit has a name; every refusal says field, got, expected."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from core.errors import ErrorCode, FuroshikiError, SignatureError
from core.tensors import ANY, TensorSpec

MAX_MANIFEST_BYTES: Final = 8 * 1024 * 1024
MAX_FILES: Final = 20_000
MAX_FILE_BYTES: Final = 2**53 - 1  # the largest whole number every JSON reader keeps exactly
MAX_METADATA_ENTRIES: Final = 256
MAX_TENSORS: Final = 1_024  # inputs and outputs of one model, each
MAX_RANK: Final = 32
MAX_TEXT: Final = 4_096  # characters of one metadata value
MAX_LABEL: Final = 255  # characters of a producer, a metadata key or a tensor name

_VARIANT: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}/[a-z0-9][a-z0-9._-]{0,31}")
_FORMAT: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")


def invalid_manifest(field: str, got: object, expected: str) -> SignatureError:
    """The error for a manifest that breaks a rule: ``SIGN_010``."""
    return SignatureError(
        ErrorCode.MANIFEST_INVALID,
        f"The manifest is not valid: {field} is {str(got)[:200]!r}; expected {expected}.",
        details={"field": field},
    )


def check_parsed(field: str, parse: Callable[[], object]) -> None:
    """Runs a parser of ``core`` or of digests and turns its refusal into ``SIGN_010``."""
    try:
        parse()
    except FuroshikiError as error:
        raise SignatureError(
            ErrorCode.MANIFEST_INVALID, f"The manifest is not valid: {field}: {error.message}", details={"field": field}
        ) from None


def instant(field: str, moment: datetime) -> datetime:
    """``moment`` in UTC, cut to milliseconds: the only times a manifest can write."""
    if moment.tzinfo is None:
        raise invalid_manifest(field, moment.isoformat(), "a time with an offset from UTC")
    utc = moment.astimezone(UTC)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)


def check_variant(variant: str, file_format: str) -> None:
    """Checks the two names of a variant's form."""
    if _VARIANT.fullmatch(variant) is None:
        raise invalid_manifest("variant", variant, "'<format>-<precision>/<device>'")
    if _FORMAT.fullmatch(file_format) is None:
        raise invalid_manifest("format", file_format, "1 to 32 characters of a-z, 0-9, '.', '_', '-'")


def check_tensors(field: str, specs: tuple[TensorSpec, ...]) -> None:
    """Checks names, ranks and dimensions of the inputs or the outputs."""
    if len(specs) > MAX_TENSORS:
        raise invalid_manifest(field, f"a list of {len(specs)}", f"at most {MAX_TENSORS} tensors")
    for spec in specs:
        check_text(f"a name in {field}", spec.name, limit=MAX_LABEL)
        if len(spec.shape) > MAX_RANK or any(not ANY <= size <= MAX_FILE_BYTES for size in spec.shape):
            raise invalid_manifest(f"shape of {spec.name!r}", list(spec.shape), f"at most {MAX_RANK} sizes from -1 up")
    if len({spec.name for spec in specs}) != len(specs):
        raise invalid_manifest(field, "a list with a repeated name", "distinct names")


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Checks number and length of the free-form entries."""
    if len(metadata) > MAX_METADATA_ENTRIES:
        raise invalid_manifest("metadata", f"{len(metadata)} entries", f"at most {MAX_METADATA_ENTRIES}")
    for key, value in metadata.items():
        check_text("a metadata key", key, limit=MAX_LABEL)
        check_text(f"metadata {key!r}", value, limit=MAX_TEXT, empty=True)


def check_text(field: str, text: str, *, limit: int, empty: bool = False) -> None:
    """Checks the length of ``text`` in characters and that UTF-8 can write it."""
    if len(text) > limit or not (text or empty):
        raise invalid_manifest(field, f"a text of {len(text)} characters", f"{0 if empty else 1} to {limit} characters")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise invalid_manifest(field, ascii(text), "text without lone surrogates")
