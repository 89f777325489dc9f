# SPDX-License-Identifier: Apache-2.0
"""Every failure Furoshiki reports, as one tree of exceptions with stable codes.

    FuroshikiError
    ├── RequestError          the caller must change the request
    │   ├── InvalidRequest      VALID_*, IMAGE_003, IMAGE_004
    │   ├── TensorError         TENSOR_*
    │   ├── ModelError          MODEL_*
    │   ├── NotFound            TENANT_001, KEY_001, UPLOAD_001, BUILD_001, DEPLOY_001, TUNING_001, CONVERT_001,
    │   │                       JOB_001, STORE_002, GATE_002, WEBHOOK_001, OCI_003, IMAGE_008
    │   ├── Conflict            STATE_*, GATE_001, IDEMPOTENCY_001, IDEMPOTENCY_003, OCI_005
    │   └── AuthError           AUTH_*
    ├── TransientError        the same request may succeed later (``retryable``)
    │   ├── Overloaded          QUEUE_001, QUOTA_001
    │   ├── DeadlineExceeded    TIMEOUT_001
    │   └── Unavailable         DEVICE_001, MODEL_002, STORE_001, STORE_004, JOB_004, IDEMPOTENCY_002,
    │                           IMAGE_001, IMAGE_002, OCI_001, CLUSTER_001, CLUSTER_005
    └── OperatorError         somebody who runs the service must act
        ├── SignatureError      SIGN_*, IMAGE_005 to IMAGE_007: what was offered is not what was signed
        ├── StoreError          STORE_003
        ├── ImageRegistryError  OCI_002, OCI_004; OCI_001 for a certificate that is not trusted
        ├── ClusterError        CLUSTER_002 to CLUSTER_004, CLUSTER_006, CLUSTER_007
        ├── JobError            JOB_002, JOB_003, JOB_005
        └── InitError           INIT_*

Rules. A code never changes its meaning and is never reused. Domain code raises these and nothing about HTTP or gRPC; each
edge owns one exhaustive ``match`` from code to status. ``details`` may be shown to the caller; ``log_context`` never leaves
the logs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, TypeAlias

Scalar: TypeAlias = str | int | float | bool | None
Detail: TypeAlias = Scalar | Sequence[Scalar] | Sequence[Mapping[str, Scalar]]


class ErrorCode(StrEnum):
    """Stable, documented identifiers; the comment on each line is its one-sentence meaning."""

    MODEL_NOT_FOUND = "MODEL_001"  # no such model, version, alias or variant for this tenant
    MODEL_NOT_READY = "MODEL_002"  # the model exists but is still loading
    MODEL_INVALID = "MODEL_003"  # the runtime refuses the model file
    MODEL_EXISTS = "MODEL_004"  # a model of that name already exists
    MODEL_DELETED = "MODEL_005"  # a model of that name was deleted and holds the name until it is purged
    TENSOR_SHAPE = "TENSOR_001"  # rank, dimension or element count differs from the signature
    TENSOR_DTYPE = "TENSOR_002"  # unknown datatype, or not the one of the signature
    TENSOR_MISSING = "TENSOR_003"  # a required input tensor is absent
    TENSOR_UNEXPECTED = "TENSOR_004"  # a tensor the model does not have
    TENSOR_DATA = "TENSOR_005"  # the data of a tensor cannot be decoded as declared
    TENSOR_REJECTED = "TENSOR_006"  # the model cannot process these values, or not these shapes together
    DEVICE_UNAVAILABLE = "DEVICE_001"  # no runner for that device is available
    INFERENCE_FAILED = "INFER_001"  # the runtime failed for a reason that is not the request's
    QUEUE_FULL = "QUEUE_001"  # the bounded batching queue is full
    QUOTA_EXCEEDED = "QUOTA_001"  # a tenant limit is reached
    TIMEOUT = "TIMEOUT_001"  # the deadline passed before a result
    CANCELLED = "CANCEL_001"  # the caller went away
    INIT_FAILED = "INIT_001"  # a process could not start as configured
    SETTING_INVALID = "INIT_002"  # a setting is missing or malformed
    AUTH_REQUIRED = "AUTH_001"  # no credential was sent
    AUTH_INVALID = "AUTH_002"  # the credential is unknown, expired or revoked
    AUTH_FORBIDDEN = "AUTH_003"  # the credential is valid but not for this action
    SIGNATURE_MISSING = "SIGN_001"  # the bundle carries no signature
    SIGNATURE_INVALID = "SIGN_002"  # the signature does not match what it covers
    SIGNER_UNTRUSTED = "SIGN_003"  # signed by a key this tenant does not trust
    DIGEST_MISMATCH = "SIGN_004"  # a file's digest or size differs from the manifest
    FILE_UNEXPECTED = "SIGN_005"  # the bundle holds a file the manifest does not list
    FILE_MISSING = "SIGN_006"  # the manifest lists a file the bundle does not hold
    PATH_UNSAFE = "SIGN_007"  # absolute path, '..', symlink or special file
    SIGNATURE_EXPIRED = "SIGN_008"  # the key or the manifest is outside its validity
    REVOKED = "SIGN_009"  # the key or the digest is on the revocation list
    MANIFEST_INVALID = "SIGN_010"  # the manifest is malformed or not canonical
    SUBJECT_MISMATCH = "SIGN_011"  # validly signed, but not the thing that was asked for
    STORE_UNAVAILABLE = "STORE_001"  # the blob store cannot be reached
    BLOB_NOT_FOUND = "STORE_002"  # no blob of that digest
    BLOB_CORRUPT = "STORE_003"  # stored bytes differ from their digest
    STORE_FULL = "STORE_004"  # the blob store has no room
    JOB_NOT_FOUND = "JOB_001"  # no such job for this tenant
    JOB_FAILED = "JOB_002"  # the job's work failed
    JOB_TIMEOUT = "JOB_003"  # the job exceeded its wall time
    JOB_LEASE_LOST = "JOB_004"  # another worker took the job over
    JOB_CANCELLED = "JOB_005"  # the job was cancelled
    MALFORMED = "VALID_001"  # the request cannot be parsed
    INVALID_FIELD = "VALID_002"  # a field is missing, unknown or out of range
    TOO_LARGE = "VALID_003"  # a body, file or decoded tensor exceeds its limit
    UNSUPPORTED_MEDIA_TYPE = "VALID_004"  # Content-Type or Content-Encoding is not supported
    NOT_ACCEPTABLE = "VALID_005"  # Accept names nothing this route can produce
    ROUTE_NOT_FOUND = "VALID_006"  # no such route
    METHOD_NOT_ALLOWED = "VALID_007"  # the route exists with another method
    LENGTH_MISMATCH = "VALID_008"  # fewer or more bytes arrived than were declared
    STATE_CONFLICT = "STATE_001"  # the resource is not in a state that allows this
    RESOURCE_EXISTS = "STATE_002"  # a resource of that name already exists
    PRECONDITION_FAILED = "STATE_003"  # If-Match names another state of the resource than the present one
    STILL_USED = "STATE_004"  # what is to be deleted is in use; details list by what, and how to clear each
    GATES_UNMET = "GATE_001"  # the version lacks what its target stage or alias asks for; details list every gate
    APPROVAL_NOT_FOUND = "GATE_002"  # no such approval of this version
    IDEMPOTENCY_MISMATCH = "IDEMPOTENCY_001"  # the Idempotency-Key was used for another request
    IDEMPOTENCY_RUNNING = "IDEMPOTENCY_002"  # the first request with this Idempotency-Key has not ended yet
    IDEMPOTENCY_UNANSWERED = "IDEMPOTENCY_003"  # the request was carried out already, but its answer was not kept
    TENANT_NOT_FOUND = "TENANT_001"  # no such tenant
    KEY_NOT_FOUND = "KEY_001"  # no such API key
    UPLOAD_NOT_FOUND = "UPLOAD_001"  # no such upload, or it expired
    UPLOAD_INCOMPLETE = "UPLOAD_002"  # files are missing from the upload
    BUILD_NOT_FOUND = "BUILD_001"  # no such bento build
    DEPLOYMENT_NOT_FOUND = "DEPLOY_001"  # no such deployment
    TUNING_NOT_FOUND = "TUNING_001"  # no such tuning, or none of that variant on such a device
    CONVERSION_NOT_FOUND = "CONVERT_001"  # no such conversion, report of one, or calibration data
    WEBHOOK_NOT_FOUND = "WEBHOOK_001"  # no such webhook, or no such delivery of it
    OCI_UNREACHABLE = "OCI_001"  # the image registry cannot be reached, cuts off or fails, after several attempts
    OCI_DENIED = "OCI_002"  # the image registry does not accept the credentials, or not for this
    OCI_NOT_FOUND = "OCI_003"  # the image registry has no such repository, tag, manifest or blob
    OCI_REFUSED = "OCI_004"  # the image registry refuses what was sent, or cannot do what was asked
    OCI_TAG_MOVED = "OCI_005"  # the tag names another image than it did
    IMAGE_BUILDER_MISSING = "IMAGE_001"  # the image builder that was asked for cannot work on this machine
    IMAGE_BASE = "IMAGE_002"  # the base image is not there, or cannot be made
    IMAGE_PLATFORM = "IMAGE_003"  # base image, variant or wheels are for another platform than the image
    IMAGE_COMMANDS = "IMAGE_004"  # the Bento wants commands run as root, which this image builder does not do
    IMAGE_SBOM = "IMAGE_005"  # the image's SBOM is missing, not validly signed, or not of what the image holds
    IMAGE_PROVENANCE = "IMAGE_006"  # the image's provenance is missing, not validly signed, or of another image
    IMAGE_CHAIN = "IMAGE_007"  # the way from the image back to the uploaded files is broken
    IMAGE_NOT_FOUND = "IMAGE_008"  # no such image
    CLUSTER_UNREACHABLE = "CLUSTER_001"  # the Kubernetes API cannot be reached or fails, after several attempts
    CLUSTER_DENIED = "CLUSTER_002"  # the Kubernetes API does not accept the credentials, or not for this
    CLUSTER_REFUSED = "CLUSTER_003"  # the Kubernetes API, or an admission webhook of it, refuses an object
    CLUSTER_NAMESPACE = "CLUSTER_004"  # the namespace does not exist, or is being deleted
    CLUSTER_FULL = "CLUSTER_005"  # a quota of the namespace, or the room on its nodes, is exhausted
    CLUSTER_IMAGE = "CLUSTER_006"  # the cluster cannot pull the image
    CLUSTER_NOT_READY = "CLUSTER_007"  # pods do not become ready: they crash, or took too long
    INTERNAL = "INTERNAL_001"  # a fault of ours; details are in the log under the request id


class FuroshikiError(Exception):
    """Base of every error with a stable code.

    Args:
        code: The stable identifier.
        message: What happened, what was received, what was expected, what to do next. Safe to show to the caller.
        details: Structured facts, safe to show to the caller.
        log_context: Facts for the log only (paths, peers, causes). Never serialised to a caller.
        retry_after: Seconds after which a retry is sensible; None where a retry is pointless or the time unknown.
    """

    retryable: bool = False

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        details: Mapping[str, Detail] | None = None,
        log_context: Mapping[str, object] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code: Final = code
        self.message: Final = message
        self.details: Final[dict[str, Detail]] = dict(details or {})
        self.log_context: Final[dict[str, object]] = dict(log_context or {})
        self.retry_after: Final = retry_after

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class RequestError(FuroshikiError):
    """The caller must change the request; repeating it gives the same answer."""


class InvalidRequest(RequestError):
    """The request cannot be parsed, or a field or limit is violated."""


class TensorError(RequestError):
    """A tensor does not fit the model's signature or its own declaration."""


class ModelError(RequestError):
    """The named model does not exist for this tenant, or its file is not a model."""


class NotFound(RequestError):
    """A named resource other than a model does not exist for this tenant."""


class Conflict(RequestError):
    """The resource exists already or is in a state that forbids the action."""


class AuthError(RequestError):
    """The credential is absent, invalid or not allowed to do this."""


class TransientError(FuroshikiError):
    """The same request may succeed later."""

    retryable = True


class Overloaded(TransientError):
    """A bounded queue or a quota is full. Raised at once, with ``retry_after``."""


class DeadlineExceeded(TransientError):
    """The deadline passed before a result; nothing waits any longer."""


class Unavailable(TransientError):
    """A device, model, store or lease is not available at the moment."""


class OperatorError(FuroshikiError):
    """Neither the caller nor a retry can help; somebody who runs the service must act."""


class SignatureError(OperatorError):
    """What was offered is not what a trusted key signed. Nothing of it was executed."""


class StoreError(OperatorError):
    """Stored bytes are damaged."""


class ImageRegistryError(OperatorError):
    """An image registry refuses: credentials, rights, content or operation."""


class ClusterError(OperatorError):
    """A Kubernetes cluster refuses, or does not get done what it was asked."""


class JobError(OperatorError):
    """A job ended without its result."""


class InitError(OperatorError):
    """A process cannot start as configured."""
