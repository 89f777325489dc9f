# SPDX-License-Identifier: Apache-2.0
"""What a registry answers that is not what was asked for, said in our errors.

A registry's own words are shown shortened and in ASCII: they are a stranger's text. Error bodies after the distribution
specification v1.1, ``{"errors": [{"code", "message"}]}``.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Final

import httpx
import msgspec

from core.errors import Detail, ErrorCode, FuroshikiError, ImageRegistryError, NotFound, Unavailable

_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_DENIED: Final = frozenset({401, 403})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer, with a small body."""

    status: int
    headers: httpx.Headers
    body: bytes


class _ErrorJson(msgspec.Struct, frozen=True):
    code: str = ""
    message: str = ""


class _ErrorsJson(msgspec.Struct, frozen=True):
    errors: tuple[_ErrorJson, ...] = ()


def error_code(answer: Answer) -> str:
    """The registry's own name for what went wrong; empty if it gave none."""
    return _first(answer.body).code


def refusal(answer: Answer, *, host: str, what: str) -> FuroshikiError:
    """The error for an answer that is not what was asked for.

    Args:
        answer: Of the registry.
        host: Which registry.
        what: Was asked for: "pull blob sha256:…".
    """
    details: dict[str, Detail] = {"registry": host, "status": answer.status}
    said = _said(answer.body)
    begin = f"Image registry {host} answers {answer.status} to: {what}.{said}"
    if answer.status in _PASSING:
        return Unavailable(
            ErrorCode.OCI_UNREACHABLE,
            f"{begin} Try again later.",
            details=details,
            retry_after=_seconds(answer.headers.get("retry-after")),
        )
    if answer.status in _DENIED:
        return ImageRegistryError(
            ErrorCode.OCI_DENIED, f"{begin} Check the credentials and their rights there.", details=details
        )
    if answer.status == 404:
        return NotFound(ErrorCode.OCI_NOT_FOUND, f"Image registry {host} has nothing for: {what}.", details=details)
    return ImageRegistryError(ErrorCode.OCI_REFUSED, begin, details=details)


def unreachable(error: Exception, *, host: str, what: str) -> Unavailable | ImageRegistryError:
    """The error for a registry that did not answer: no connection, a cut, silence, no HTTP."""
    details: dict[str, Detail] = {"registry": host}
    if _untrusted(error):
        return ImageRegistryError(  # not Unavailable: no further attempt changes it
            ErrorCode.OCI_UNREACHABLE,
            f"Image registry {host} shows a certificate that is not trusted. Name the file of its authority.",
            details=details,
            log_context={"cause": repr(error)},
        )
    return Unavailable(
        ErrorCode.OCI_UNREACHABLE,
        f"Image registry {host} cannot be reached, or cut off: {what}. Try again later.",
        details=details,
        log_context={"cause": repr(error)},
    )


def _untrusted(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _said(body: bytes) -> str:
    first = _first(body)
    text = ": ".join(part for part in (first.code, first.message) if part)
    return f" It says {text[:200]!a}." if text else ""


def _first(body: bytes) -> _ErrorJson:
    try:
        return next(iter(msgspec.json.decode(body, type=_ErrorsJson).errors), _ErrorJson())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _ErrorJson()


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.isdecimal() and len(header) < 7 else None
