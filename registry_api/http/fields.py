# SPDX-License-Identifier: Apache-2.0
"""Field types that every slice's schemas share. What they refuse never reaches a service or a table.

Patterns are written so that JSON Schema, Rust's regex (pydantic) and Python's agree on them.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeAlias

from fastapi import Path
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from core.clock import rfc3339

MAX_VERSION: Final = 9_999_999_999
MAX_BYTES: Final = 1 << 50

_NAME: Final = r"^[a-z0-9](\.?[a-z0-9_-])*\.?$"  # core.refs.NAME_PATTERN, without two dots in a row
_ALIAS: Final = r"^[a-z](\.?[a-z0-9_-])*\.?$"  # a name that no version number can be
_VARIANT: Final = r"^[a-z0-9._-]+/[a-z0-9._-]+$"
_LINE: Final = r"^[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"
_TAG: Final = r"^[^\s\x00-\x1f\x7f:][^\x00-\x1f\x7f:]{0,62}(:[^\x00-\x1f\x7f]{0,190})?$"
_TEXT: Final = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
_DATED: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]")
_DATE_TIME: Final = {"type": "string", "format": "date-time"}


class Incoming(BaseModel):
    """Base of request bodies: a field that is not known is refused, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Outgoing(BaseModel):
    """Base of response bodies."""

    model_config = ConfigDict(frozen=True)


def _only_text(value: Any) -> Any:
    if not isinstance(value, str) or _DATED.match(value) is None:  # pydantic would take a number for seconds since 1970
        raise ValueError("expected an RFC 3339 date and time as a string")
    return value


def whole(value: Any) -> Any:
    """For fields declared ``integer``: what JSON Schema takes for one becomes an int, the rest stays as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value  # JSON Schema: 3.0 is an integer


def distinct(value: Any) -> Any:
    """For fields declared as a set: JSON Schema says ``uniqueItems``, so a list that repeats one is refused."""
    if isinstance(value, list) and any(item in value[:at] for at, item in enumerate(value)):
        raise ValueError("expected each item once")
    return value


def _to_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("expected a time zone: 2026-01-31T09:30:00Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("is out of range") from None


Name: TypeAlias = Annotated[str, Field(pattern=_NAME, min_length=1, max_length=63, examples=["digits"])]
Alias: TypeAlias = Annotated[str, Field(pattern=_ALIAS, min_length=1, max_length=63, examples=["champion"])]
Line: TypeAlias = Annotated[str, Field(pattern=_LINE, min_length=1, max_length=200)]
Label: TypeAlias = Annotated[str, Field(pattern=_LINE, min_length=1, max_length=64)]
Tag: TypeAlias = Annotated[
    str,
    Field(
        pattern=_TAG,
        min_length=1,
        max_length=254,
        description="`key:value`, or `key` alone. A key occurs once; those that begin with `furoshiki.` are the platform's.",
        examples=["team:vision"],
    ),
]
Text: TypeAlias = Annotated[str, Field(pattern=_TEXT, max_length=4000)]
Digest: TypeAlias = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$", examples=["sha256:" + "0" * 64])]
Size: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=MAX_BYTES, description="Bytes."), BeforeValidator(whole)]
Flag: TypeAlias = Annotated[bool, Field(strict=True)]
Variant: TypeAlias = Annotated[str, Field(pattern=_VARIANT, max_length=100, examples=["onnx-fp32/cpu"])]
Device: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=32, examples=["cpu"])]
VersionNumber: TypeAlias = Annotated[int, Field(strict=True, ge=1, le=MAX_VERSION), BeforeValidator(whole)]
Moment: TypeAlias = Annotated[
    datetime, BeforeValidator(_only_text), AfterValidator(_to_utc), WithJsonSchema(_DATE_TIME, mode="validation")
]
Timestamp: TypeAlias = Annotated[datetime, PlainSerializer(rfc3339, return_type=str), WithJsonSchema(_DATE_TIME)]

NamePath: TypeAlias = Annotated[str, Path(pattern=_NAME, min_length=1, max_length=63)]
IdPath: TypeAlias = Annotated[str, Path(pattern=r"^[0-9a-z-]+$", min_length=1, max_length=64)]
AliasPath: TypeAlias = Annotated[str, Path(pattern=_ALIAS, min_length=1, max_length=63, examples=["champion"])]
VersionPath: TypeAlias = Annotated[int, Path(ge=1, le=MAX_VERSION)]
