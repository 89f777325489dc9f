# SPDX-License-Identifier: Apache-2.0
"""The HTTP status of every error, once for all HTTP edges. A new code fails type checking until it is answered here."""

from __future__ import annotations

from typing import assert_never

from core.errors import ErrorCode as E


def http_status(code: E) -> int:  # noqa: C901, PLR0911, PLR0912 -- one flat table
    """The HTTP status an error is answered with."""
    match code:
        case E.MALFORMED | E.INVALID_FIELD | E.LENGTH_MISMATCH:
            return 400
        case E.TENSOR_SHAPE | E.TENSOR_DTYPE | E.TENSOR_MISSING | E.TENSOR_UNEXPECTED | E.TENSOR_DATA:
            return 400
        case E.TENSOR_REJECTED:
            return 400
        case E.AUTH_REQUIRED | E.AUTH_INVALID:
            return 401
        case E.AUTH_FORBIDDEN:
            return 403
        case E.MODEL_NOT_FOUND | E.ROUTE_NOT_FOUND | E.JOB_NOT_FOUND | E.BLOB_NOT_FOUND | E.TENANT_NOT_FOUND:
            return 404
        case E.KEY_NOT_FOUND | E.UPLOAD_NOT_FOUND | E.BUILD_NOT_FOUND | E.DEPLOYMENT_NOT_FOUND | E.TUNING_NOT_FOUND:
            return 404
        case E.APPROVAL_NOT_FOUND | E.WEBHOOK_NOT_FOUND | E.CONVERSION_NOT_FOUND | E.OCI_NOT_FOUND | E.IMAGE_NOT_FOUND:
            return 404
        case E.METHOD_NOT_ALLOWED:
            return 405
        case E.NOT_ACCEPTABLE:
            return 406
        case E.MODEL_EXISTS | E.STATE_CONFLICT | E.RESOURCE_EXISTS | E.UPLOAD_INCOMPLETE | E.JOB_CANCELLED:
            return 409
        case E.GATES_UNMET | E.MODEL_DELETED | E.STILL_USED:
            return 409
        case E.IDEMPOTENCY_RUNNING | E.IDEMPOTENCY_UNANSWERED | E.OCI_TAG_MOVED:
            return 409
        case E.PRECONDITION_FAILED:
            return 412
        case E.TOO_LARGE:
            return 413
        case E.UNSUPPORTED_MEDIA_TYPE:
            return 415
        case E.MODEL_INVALID | E.IDEMPOTENCY_MISMATCH | E.IMAGE_PLATFORM | E.IMAGE_COMMANDS:
            return 422
        case E.QUOTA_EXCEEDED | E.QUEUE_FULL:
            return 429
        case E.CANCELLED:
            return 499
        case E.INTERNAL | E.INFERENCE_FAILED | E.JOB_FAILED | E.INIT_FAILED | E.SETTING_INVALID | E.BLOB_CORRUPT:
            return 500
        case E.SIGNATURE_MISSING | E.SIGNATURE_INVALID | E.SIGNER_UNTRUSTED | E.DIGEST_MISMATCH | E.FILE_UNEXPECTED:
            return 502
        case E.FILE_MISSING | E.PATH_UNSAFE | E.SIGNATURE_EXPIRED | E.REVOKED | E.MANIFEST_INVALID | E.SUBJECT_MISMATCH:
            return 502
        case E.IMAGE_SBOM | E.IMAGE_PROVENANCE | E.IMAGE_CHAIN | E.OCI_DENIED | E.OCI_REFUSED:
            return 502
        case E.CLUSTER_DENIED | E.CLUSTER_REFUSED | E.CLUSTER_NAMESPACE | E.CLUSTER_IMAGE | E.CLUSTER_NOT_READY:
            return 502
        case E.MODEL_NOT_READY | E.DEVICE_UNAVAILABLE | E.STORE_UNAVAILABLE | E.JOB_LEASE_LOST | E.OCI_UNREACHABLE:
            return 503
        case E.IMAGE_BUILDER_MISSING | E.IMAGE_BASE | E.CLUSTER_UNREACHABLE | E.CLUSTER_FULL:
            return 503
        case E.TIMEOUT | E.JOB_TIMEOUT:
            return 504
        case E.STORE_FULL:
            return 507
        case _:
            assert_never(code)
