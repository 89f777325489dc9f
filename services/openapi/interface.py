# SPDX-License-Identifier: Apache-2.0
"""One operation of the HTTP interface, as it stands in the table.

Errors are given as codes; their statuses come from the table every edge answers with, so the document cannot say another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from core.errors import ErrorCode as E
from core.features import Feature
from services.openapi.headers import Header

Schema: TypeAlias = type | Mapping[str, Any]  # a msgspec type, or JSON Schema as it stands

JSON: Final = "application/json"
BINARY: Final = "application/octet-stream"
OPAQUE: Final[Mapping[str, Any]] = MappingProxyType({"type": "string", "format": "binary"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A body in one media type."""

    schema: Schema
    example: Any = None  # None: none
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is sent if nothing went wrong."""

    description: str
    content: Mapping[str, Content]
    headers: tuple[Header, ...] = ()  # beside the request's id


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path."""

    method: str
    path: str  # with {model}, {version} and {region} where they stand
    id: str
    tag: str
    summary: str  # a few words
    answers: Mapping[int, Answer]
    errors: tuple[E, ...]  # beside those of every operation
    problem: Mapping[str, Content]  # the forms of an error
    description: str = ""
    body: Mapping[str, Content] = field(default_factory=dict)  # of the request; empty: it has none
    body_needed: bool = True
    headers: tuple[Header, ...] = ()  # of the request
    public: bool = False  # whether it needs no credential
    feature: Feature | None = None  # what the tenant must have


# Errors by what an operation does.
ANYTHING: Final = (E.METHOD_NOT_ALLOWED, E.INTERNAL)
AUTHENTICATED: Final = (
    E.AUTH_REQUIRED,
    E.AUTH_INVALID,
    E.AUTH_FORBIDDEN,
    E.ROUTE_NOT_FOUND,
    E.QUEUE_FULL,
    E.STORE_UNAVAILABLE,
)
BODY: Final = (E.MALFORMED, E.TOO_LARGE, E.UNSUPPORTED_MEDIA_TYPE, E.QUEUE_FULL, E.TIMEOUT)
MODEL: Final = (
    E.MODEL_NOT_FOUND,
    E.MODEL_NOT_READY,
    E.MODEL_INVALID,
    E.TOO_LARGE,
    E.QUEUE_FULL,
    E.DEVICE_UNAVAILABLE,
    E.BLOB_CORRUPT,
    E.STORE_FULL,
    E.SIGNATURE_MISSING,
    E.SIGNATURE_INVALID,
    E.SIGNER_UNTRUSTED,
    E.DIGEST_MISMATCH,
    E.FILE_UNEXPECTED,
    E.FILE_MISSING,
    E.PATH_UNSAFE,
    E.SIGNATURE_EXPIRED,
    E.REVOKED,
    E.MANIFEST_INVALID,
    E.SUBJECT_MISMATCH,
)
INFERENCE: Final = (
    *BODY,
    *MODEL,
    E.INVALID_FIELD,
    E.TENSOR_SHAPE,
    E.TENSOR_DTYPE,
    E.TENSOR_MISSING,
    E.TENSOR_UNEXPECTED,
    E.TENSOR_DATA,
    E.TENSOR_REJECTED,
    E.QUOTA_EXCEEDED,
    E.INFERENCE_FAILED,
)
