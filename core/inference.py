# SPDX-License-Identifier: Apache-2.0
"""The values that travel the data plane: what every edge decodes to and encodes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.deprecation import Notice
from core.tensors import Array, DType


@dataclass(slots=True, kw_only=True)
class InferenceRequest:
    """One inference as every edge hands it to the data plane. Not changed after it was built.

    ``inputs`` and ``dtypes`` have the same keys. ``deadline`` is on the monotonic clock.
    """

    tenant: str
    model: str
    version: str | None  # None: the model's default version
    request_id: str
    inputs: Mapping[str, Array]
    dtypes: Mapping[str, DType]
    outputs: tuple[str, ...] | None = None  # None: every output of the model
    deadline: float | None = None  # None: the service's own limit applies
    priority: int = 0  # 1 is the highest; 0: the default class, in the middle
    traceparent: str | None = None  # W3C trace context of the caller


@dataclass(slots=True, kw_only=True)
class InferenceResponse:
    """The result of one request, in the row order of its inputs."""

    model: str
    version: str
    digest: str  # the verified manifest digest, "sha256:<hex>"
    outputs: Mapping[str, Array]
    dtypes: Mapping[str, DType]
    notice: Notice | None = None  # None: the version is not deprecated
