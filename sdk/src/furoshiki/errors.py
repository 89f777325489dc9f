# SPDX-License-Identifier: Apache-2.0
"""Every failure the SDK reports, grouped by what the caller can do about it.

    FuroshikiError
    ├── RequestError          change the request
    │   ├── InvalidRequest      VALID_*, TENSOR_*, MODEL_003: a field, tensor, file or limit
    │   ├── NotFound            MODEL_001 and the other "no such …" codes
    │   └── Conflict            STATE_*, MODEL_004: it exists, or is in a state that forbids the action
    ├── ConfigError           CLIENT_001: set a URL or a key, mend the config file
    ├── AuthError             AUTH_*: log in, or ask for a role
    ├── TransientError        try again later (``retryable``)
    │   ├── Overloaded          QUEUE_001, QUOTA_001, HTTP 429
    │   ├── Unavailable         DEVICE_001, MODEL_002, STORE_001 …, HTTP 502/503/504
    │   ├── DeadlineExceeded    TIMEOUT_001
    │   └── ConnectionFailed    CLIENT_002: nothing answered, or the connection was cut
    ├── SignatureRefused      SIGN_*, IMAGE_005 to IMAGE_007: do not use these bytes
    ├── JobFailed             JOB_*: read the job's log
    └── ServerFault           everything else: ask an operator, naming the request id

Rules. ``code`` is the server's stable code; codes that start with ``CLIENT_`` are made here. ``request_id`` is what
the server logged the request under, and None only where no request was made. No message ever holds an API key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

CONFIG_INVALID: Final = "CLIENT_001"
CONNECTION_FAILED: Final = "CLIENT_002"
REPLY_UNREADABLE: Final = "CLIENT_003"
LOCAL_FILE: Final = "CLIENT_004"


class FuroshikiError(Exception):
    """Base of every error of this package.

    Args:
        code: The stable identifier.
        message: What happened, what was received, what was expected, what to do next.
        request_id: The id under which the server logged the request; None where no request was made.
        status: The HTTP status; None where no reply was received.
        retry_after: Seconds after which a retry is sensible; None where unknown or pointless.
        details: Structured facts from the server.
        retryable: Whether the same request may succeed later; None for the class's own answer.
    """

    retryable: bool = False

    def __init__(
        self,
        code: str,
        message: str,
        *,
        request_id: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
        details: Mapping[str, Any] | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.code: Final = code
        self.message: Final = message
        self.request_id: Final = request_id
        self.status: Final = status
        self.retry_after: Final = retry_after
        self.details: Final[dict[str, Any]] = dict(details or {})
        if retryable is not None:
            self.retryable = retryable

    def __str__(self) -> str:
        suffix = f" (request {self.request_id})" if self.request_id else ""
        return f"{self.code}: {self.message}{suffix}"


class RequestError(FuroshikiError):
    """The caller must change the request; repeating it gives the same answer."""


class InvalidRequest(RequestError):
    """A field, tensor, file or limit is violated."""


class NotFound(RequestError):
    """What was named does not exist for this tenant."""


class Conflict(RequestError):
    """The resource exists already or is in a state that forbids the action."""


class ConfigError(FuroshikiError):
    """The client cannot start a request as configured."""


class AuthError(FuroshikiError):
    """The credential is absent, invalid or not allowed to do this."""


class TransientError(FuroshikiError):
    """The same request may succeed later."""

    retryable = True


class Overloaded(TransientError):
    """A queue or a quota is full."""


class Unavailable(TransientError):
    """A device, model, store or process is not available at the moment."""


class DeadlineExceeded(TransientError):
    """The deadline passed before a result."""


class ConnectionFailed(TransientError):
    """Nothing answered, or the connection was cut.

    Args:
        message: What happened.
        request_id: The id the request was sent with.
        sent: Whether the request may have reached the server.
    """

    def __init__(self, message: str, *, request_id: str | None, sent: bool) -> None:
        super().__init__(CONNECTION_FAILED, message, request_id=request_id)
        self.sent: Final = sent


class SignatureRefused(FuroshikiError):
    """What was offered is not what a trusted key signed."""


class JobFailed(FuroshikiError):
    """A build, deployment or other job ended without its result."""


class ServerFault(FuroshikiError):
    """The service failed or sent something that is not an answer."""
