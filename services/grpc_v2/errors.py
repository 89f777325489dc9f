# SPDX-License-Identifier: Apache-2.0
"""Errors as gRPC writes them: a status, a sentence, and the stable code in trailing metadata.

Statuses group errors by what the caller can do. ``INVALID_ARGUMENT``: change the request. ``RESOURCE_EXHAUSTED``,
``UNAVAILABLE``: send it again after ``retry-after`` seconds (clients with a retry policy read ``grpc-retry-pushback-ms``).
``FAILED_PRECONDITION``, ``DATA_LOSS``, ``INTERNAL``: somebody who runs the service must act.
"""

from __future__ import annotations

from typing import Final, assert_never

from grpc import StatusCode

from core.errors import ErrorCode as E
from core.errors import FuroshikiError

ERROR_KEY: Final = "x-furoshiki-error"
_LONGEST_MESSAGE: Final = 2048  # bytes; clients drop calls whose trailers exceed 8 KiB


def grpc_status(code: E) -> StatusCode:  # noqa: C901, PLR0911, PLR0912 -- one flat table
    """The gRPC status an error is answered with."""
    match code:
        case E.MALFORMED | E.INVALID_FIELD | E.LENGTH_MISMATCH | E.TOO_LARGE:
            return StatusCode.INVALID_ARGUMENT
        case E.UNSUPPORTED_MEDIA_TYPE | E.NOT_ACCEPTABLE:
            return StatusCode.INVALID_ARGUMENT
        case E.TENSOR_SHAPE | E.TENSOR_DTYPE | E.TENSOR_MISSING | E.TENSOR_UNEXPECTED | E.TENSOR_DATA:
            return StatusCode.INVALID_ARGUMENT
        case E.TENSOR_REJECTED:
            return StatusCode.INVALID_ARGUMENT
        case E.AUTH_REQUIRED | E.AUTH_INVALID:
            return StatusCode.UNAUTHENTICATED
        case E.AUTH_FORBIDDEN:
            return StatusCode.PERMISSION_DENIED
        case E.MODEL_NOT_FOUND | E.JOB_NOT_FOUND | E.BLOB_NOT_FOUND | E.TENANT_NOT_FOUND | E.APPROVAL_NOT_FOUND:
            return StatusCode.NOT_FOUND
        case E.KEY_NOT_FOUND | E.UPLOAD_NOT_FOUND | E.BUILD_NOT_FOUND | E.DEPLOYMENT_NOT_FOUND | E.TUNING_NOT_FOUND:
            return StatusCode.NOT_FOUND
        case E.WEBHOOK_NOT_FOUND | E.CONVERSION_NOT_FOUND | E.OCI_NOT_FOUND | E.IMAGE_NOT_FOUND:
            return StatusCode.NOT_FOUND
        case E.ROUTE_NOT_FOUND | E.METHOD_NOT_ALLOWED:
            return StatusCode.UNIMPLEMENTED
        case E.MODEL_EXISTS | E.RESOURCE_EXISTS | E.MODEL_DELETED:
            return StatusCode.ALREADY_EXISTS
        case E.JOB_CANCELLED | E.JOB_LEASE_LOST | E.IDEMPOTENCY_RUNNING:
            return StatusCode.ABORTED
        case E.STATE_CONFLICT | E.UPLOAD_INCOMPLETE | E.MODEL_INVALID | E.GATES_UNMET | E.STILL_USED:
            return StatusCode.FAILED_PRECONDITION
        case E.SIGNATURE_MISSING | E.SIGNATURE_INVALID | E.SIGNER_UNTRUSTED | E.DIGEST_MISMATCH | E.FILE_UNEXPECTED:
            return StatusCode.FAILED_PRECONDITION
        case E.FILE_MISSING | E.PATH_UNSAFE | E.SIGNATURE_EXPIRED | E.REVOKED | E.MANIFEST_INVALID | E.SUBJECT_MISMATCH:
            return StatusCode.FAILED_PRECONDITION
        case E.PRECONDITION_FAILED | E.IDEMPOTENCY_MISMATCH | E.IDEMPOTENCY_UNANSWERED:
            return StatusCode.FAILED_PRECONDITION
        case E.OCI_DENIED | E.OCI_REFUSED | E.OCI_TAG_MOVED:
            return StatusCode.FAILED_PRECONDITION
        case E.CLUSTER_DENIED | E.CLUSTER_REFUSED | E.CLUSTER_NAMESPACE | E.CLUSTER_IMAGE | E.CLUSTER_NOT_READY:
            return StatusCode.FAILED_PRECONDITION
        case E.IMAGE_PLATFORM | E.IMAGE_COMMANDS | E.IMAGE_SBOM | E.IMAGE_PROVENANCE | E.IMAGE_CHAIN:
            return StatusCode.FAILED_PRECONDITION
        case E.BLOB_CORRUPT:
            return StatusCode.DATA_LOSS
        case E.QUOTA_EXCEEDED | E.QUEUE_FULL | E.STORE_FULL:
            return StatusCode.RESOURCE_EXHAUSTED
        case E.MODEL_NOT_READY | E.DEVICE_UNAVAILABLE | E.STORE_UNAVAILABLE | E.OCI_UNREACHABLE:
            return StatusCode.UNAVAILABLE
        case E.IMAGE_BUILDER_MISSING | E.IMAGE_BASE | E.CLUSTER_UNREACHABLE | E.CLUSTER_FULL:
            return StatusCode.UNAVAILABLE
        case E.TIMEOUT | E.JOB_TIMEOUT:
            return StatusCode.DEADLINE_EXCEEDED
        case E.CANCELLED:
            return StatusCode.CANCELLED
        case E.INTERNAL | E.INFERENCE_FAILED | E.JOB_FAILED | E.INIT_FAILED | E.SETTING_INVALID:
            return StatusCode.INTERNAL
        case _:
            assert_never(code)


def error_message(error: FuroshikiError) -> str:
    """The sentence of an error, at most as long as trailers may carry."""
    data = error.message.encode()
    return error.message if len(data) <= _LONGEST_MESSAGE else data[:_LONGEST_MESSAGE].decode(errors="ignore") + "…"


def error_metadata(error: FuroshikiError) -> tuple[tuple[str, str], ...]:
    """What the trailing metadata of an error says: its code, and when to come back."""
    code = (ERROR_KEY, error.code.value)
    if error.retry_after is None:
        return (code,)
    seconds = error.retry_after
    return (
        code,
        ("retry-after", str(max(1, round(seconds)))),
        ("grpc-retry-pushback-ms", str(max(1, round(seconds * 1000)))),
    )
