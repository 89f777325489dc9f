# SPDX-License-Identifier: Apache-2.0
"""The sizes an edge accepts. Each is a setting ``FUROSHIKI_LIMITS__…``; beyond it the answer is ``VALID_003``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeLimits:
    """Bounds of one request."""

    body_bytes: int = 64 * 2**20  # whole body
    json_bytes: int = 16 * 2**20  # the JSON part of a body
    tensor_elements: int = 64 * 2**20  # elements of one tensor, before anything is allocated
    tensors: int = 64  # input tensors of one request
    rank: int = 16  # dimensions of one tensor
