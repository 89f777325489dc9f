# SPDX-License-Identifier: Apache-2.0
"""The SDK's errors as the domain's, for whoever asks the registry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from core.errors import AuthError, ErrorCode, FuroshikiError, ModelError, Unavailable
from furoshiki import errors as sdk

_RETRY_S: Final = 1.0


@contextmanager
def translated() -> Iterator[None]:
    """The SDK's errors, and our patience at its end, as the domain's."""
    try:
        yield
    except sdk.FuroshikiError as error:
        raise _domain_error(error) from None
    except TimeoutError:
        raise unavailable(cause="no answer in time") from None


def _domain_error(error: sdk.FuroshikiError) -> FuroshikiError:
    if isinstance(error, sdk.AuthError):
        known = error.code in (ErrorCode.AUTH_REQUIRED, ErrorCode.AUTH_FORBIDDEN)
        return AuthError(ErrorCode(error.code) if known else ErrorCode.AUTH_INVALID, "The credential is not valid.")
    if isinstance(error, sdk.NotFound):
        return ModelError(ErrorCode.MODEL_NOT_FOUND, "The registry knows no such model.")
    return unavailable(cause=str(error), registry_request_id=error.request_id)


def unavailable(**log_context: object) -> Unavailable:
    return Unavailable(
        ErrorCode.STORE_UNAVAILABLE,
        "The registry cannot answer now.",
        log_context=log_context,
        retry_after=_RETRY_S,
    )
