# SPDX-License-Identifier: Apache-2.0
"""The limits of one model's queue, and what may share a batch.

Requests share a batch only when every input has the same shape behind its first dimension; datatypes are those of the
model's signature, so nothing is ever promoted. A model whose signature has no batch dimension runs each request alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from core.tensors import Array, Shape, Signature

BucketKey: TypeAlias = tuple[Shape, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """Bounds of one model's batching."""

    max_rows: int = 64  # rows merged into one execution; a larger single request runs alone
    max_request_rows: int = 4096  # rows one request may bring
    max_queue_rows: int = 4096  # rows waiting
    max_queue_bytes: int = 256 * 2**20  # input bytes waiting
    max_wait_s: float = 30.0  # seconds from arrival to result when the caller set no deadline
    inline_below_s: float = 0.001  # seconds; a model whose batches take less runs on the event loop; 0: never


def bucket_key(signature: Signature, inputs: Mapping[str, Array]) -> BucketKey:
    """What must be equal for two requests to share a batch; in the order of the signature."""
    return tuple(inputs[spec.name].shape[1:] for spec in signature.inputs)


def row_count(signature: Signature, inputs: Mapping[str, Array]) -> int:
    """Rows of a request to a batched model: the first dimension of its first input."""
    return int(inputs[signature.inputs[0].name].shape[0])
