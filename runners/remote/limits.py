# SPDX-License-Identifier: Apache-2.0
"""The bounds of one connection between an API worker and a runner; both ends use the same."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WireLimits:
    """Bounds of one connection."""

    in_flight: int = 4096  # requests of one connection that are not answered
    in_flight_bytes: int = 256 * 2**20  # of their inputs; a larger single request travels alone
    frame_bytes: int = 512 * 2**20  # one message
    shared_above: int = 64 * 2**10  # bytes of a message's tensors from which they travel through shared memory
    shared_bytes: int = 32 * 2**20  # shared memory of each direction; without room there, tensors travel in the message
    silence_s: float = 2.0  # without a sign of life, after which the other end counts as hung
