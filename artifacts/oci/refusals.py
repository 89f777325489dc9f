# SPDX-License-Identifier: Apache-2.0
"""What is said about OCI content that is not what it should be."""

from __future__ import annotations

from artifacts.digest import Digest
from core.errors import ErrorCode, InvalidRequest, NotFound, SignatureError


def invalid_document(field: str, got: object, expected: str) -> SignatureError:
    """An OCI document breaks a rule: ``SIGN_010``."""
    return SignatureError(
        ErrorCode.MANIFEST_INVALID,
        f"The OCI document is not valid: {field} is {str(got)[:200]!r}; expected {expected}.",
        details={"field": field},
    )


def wrong_digest(digest: Digest, found: Digest, *, where: str) -> SignatureError:
    """Content hashes to something else: ``SIGN_004``."""
    return SignatureError(
        ErrorCode.DIGEST_MISMATCH,
        f"What {where} holds as {digest} has the digest {found}. Nothing of it was used.",
        details={"digest": digest, "found": found},
    )


def wrong_size(digest: Digest, expected: int, found: int, *, where: str) -> SignatureError:
    """Content has another length than its descriptor says: ``SIGN_004``."""
    return SignatureError(
        ErrorCode.DIGEST_MISMATCH,
        f"What {where} holds as {digest} has {found} bytes; its descriptor says {expected}. Nothing of it was used.",
        details={"digest": digest, "expected": expected, "found": found},
    )


def too_large(what: str, size: int, limit: int) -> InvalidRequest:
    """Content exceeds a limit of ours: ``VALID_003``."""
    return InvalidRequest(
        ErrorCode.TOO_LARGE,
        f"{what} has {size} bytes; at most {limit} are read.",
        details={"size": size, "limit": limit},
    )


def too_many(what: str, count: int, limit: int) -> InvalidRequest:
    """A list exceeds a limit of ours: ``VALID_003``."""
    return InvalidRequest(
        ErrorCode.TOO_LARGE,
        f"{what} has {count} entries; at most {limit} are read.",
        details={"count": count, "limit": limit},
    )


def missing_blob(digest: Digest, *, where: str) -> NotFound:
    """There is no such blob: ``STORE_002``."""
    return NotFound(ErrorCode.BLOB_NOT_FOUND, f"{where} holds no blob {digest}.", details={"digest": digest})
