# SPDX-License-Identifier: Apache-2.0
"""What becomes of an exception: the caller is told what it may know, and the log everything else."""

from __future__ import annotations

from core.errors import FuroshikiError
from core.telemetry.logs import get_logger
from services.edge.interface import unexpected

log = get_logger(__name__)


def shown(error: Exception, *, request_id: str, path: str, tenant: str) -> FuroshikiError:
    """The error a caller is told, whatever was raised; what only the operator may see is logged.

    Args:
        error: What was raised.
        request_id: The id of the request, which the caller is told as well.
        path: What was asked for.
        tenant: Who asked; empty: not known.
    """
    if not isinstance(error, FuroshikiError):
        log.error("unexpected_error", request_id=request_id, path=path, tenant=tenant, exc_info=error)
        return unexpected()
    if error.log_context:
        log.warning("request_failed", request_id=request_id, code=error.code, **error.log_context)
    return error
