# SPDX-License-Identifier: Apache-2.0
"""Results are bounded as requests are, and a large one is not encoded on the event loop."""

from __future__ import annotations

from typing import Final

from core.errors import ErrorCode, InvalidRequest
from core.inference import InferenceResponse
from services.edge.limits import EdgeLimits

_SMALL_BYTES: Final = 2**20


def is_large(response: InferenceResponse, limits: EdgeLimits) -> bool:
    """Whether a result must be encoded in a thread.

    Raises:
        InvalidRequest: ``VALID_003`` if its tensors exceed ``limits.output_bytes``.
    """
    size = 0
    for array in response.outputs.values():
        size += array.nbytes if not array.dtype.hasobject else sum(map(len, array.flat))
    if size > limits.output_bytes:
        raise InvalidRequest(
            ErrorCode.TOO_LARGE,
            f"The result of {response.model}@{response.version} has {size} bytes; the limit is {limits.output_bytes}. "
            "Ask for fewer outputs or send fewer rows.",
            details={"got": size, "limit": limits.output_bytes},
        )
    return size > _SMALL_BYTES
