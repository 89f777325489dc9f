# SPDX-License-Identifier: Apache-2.0
"""The sizes and pauses an edge accepts. Each is a setting ``FUROSHIKI_LIMITS__…``; a size beyond it is ``VALID_003``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeLimits:
    """Bounds of one request, and of all bodies that are being received."""

    body_bytes: int = 64 * 2**20  # whole body
    json_bytes: int = 4 * 2**20  # the JSON part of a body; parsing it holds the event loop
    tensor_elements: int = 64 * 2**20  # elements of one tensor, before anything is allocated
    bytes_elements: int = 65_536  # BYTES elements of one request: each is decoded on its own
    tensors: int = 64  # input tensors of one request
    rank: int = 16  # dimensions of one tensor
    output_bytes: int = 256 * 2**20  # tensors of one result
    body_idle_s: float = 30.0  # silence inside a body
    body_s: float = 300.0  # a whole body, however steadily it comes
    bodies_bytes: int = 512 * 2**20  # received so far of all bodies that come in several messages
    compress_bytes: int = 4096  # results from this size on are compressed for clients that accept it
