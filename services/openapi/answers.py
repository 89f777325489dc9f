# SPDX-License-Identifier: Apache-2.0
"""The shapes of answers. They forbid what they do not name: an answer with a field nobody described fails the tests."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from services.openapi.requests import Datatype, Nested, Packed

Natural: TypeAlias = Annotated[int, Meta(ge=0)]
Dimension: TypeAlias = Annotated[int, Meta(ge=-1, description="-1: any size.")]
Digest: TypeAlias = Annotated[str, Meta(pattern="^sha256:[0-9a-f]{64}$", description="Of the verified manifest.")]


class ServerMetadata(msgspec.Struct, forbid_unknown_fields=True):
    """The server and the extensions it speaks."""

    name: str
    version: str
    extensions: list[str]


class Live(msgspec.Struct, forbid_unknown_fields=True):
    """The process answers."""

    live: bool


class Ready(msgspec.Struct, forbid_unknown_fields=True):
    """Whether requests can be answered now."""

    ready: bool
    live: bool


class ModelReady(msgspec.Struct, forbid_unknown_fields=True):
    """Whether a model can be used now."""

    name: str
    ready: bool


class TensorMetadata(msgspec.Struct, forbid_unknown_fields=True):
    """An input or output of a model."""

    name: str
    datatype: Datatype
    shape: list[Dimension]


class ModelMetadata(msgspec.Struct, forbid_unknown_fields=True):
    """What a model takes and gives, and who signed it."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    properties: dict[str, str]


class InferredOutput(msgspec.Struct, forbid_unknown_fields=True):
    """An output: its data is in ``data``, in the bytes behind the JSON part, or in shared memory."""

    name: str
    datatype: Datatype
    shape: list[Natural]
    parameters: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    data: Annotated[list[Any], Meta(description="Flat and row-major; null: not finite.")] | msgspec.UnsetType = (
        msgspec.UNSET
    )


class InferResponse(msgspec.Struct, forbid_unknown_fields=True):
    """A result of the Open Inference Protocol."""

    model_name: str
    model_version: str
    outputs: list[InferredOutput]
    id: str | msgspec.UnsetType = msgspec.UNSET


class _ShortResult(msgspec.Struct, forbid_unknown_fields=True):
    model: str
    version: str
    digest: Digest
    request_id: str
    latency_ms: Annotated[float, Meta(ge=0)]


class ShortResponse(_ShortResult, kw_only=True, forbid_unknown_fields=True):
    """A result in the short form: each output nested like its shape, a bare element without dimensions."""

    outputs: dict[str, Nested]


class PackedResponse(_ShortResult, kw_only=True, forbid_unknown_fields=True):
    """A result in MessagePack: in binary form if an input was, else nested lists."""

    outputs: dict[str, Packed]


class ProtocolError(msgspec.Struct, forbid_unknown_fields=True):
    """An error as the Open Inference Protocol writes it; its code is in ``X-Furoshiki-Error``."""

    error: str


class ProblemDetail(msgspec.Struct, forbid_unknown_fields=True):
    """What went wrong."""

    code: Annotated[str, Meta(description="Stable; see the reference of error codes.")]
    message: str
    retryable: Annotated[bool, Meta(description="Whether the same request may succeed later.")]
    request_id: str
    details: dict[str, Any]


class Problem(msgspec.Struct, forbid_unknown_fields=True):
    """An error."""

    error: ProblemDetail


class ModelState(msgspec.Struct, forbid_unknown_fields=True):
    """A version of a model in the repository."""

    name: str
    version: str
    state: Annotated[str, Meta(extra_json_schema={"enum": ["READY", "LOADING", "UNAVAILABLE"]})]
    reason: str


class Duration(msgspec.Struct, forbid_unknown_fields=True):
    """How often, and nanoseconds altogether."""

    count: Natural
    ns: Natural


class InferenceStatistics(msgspec.Struct, forbid_unknown_fields=True):
    """What requests took since the model was loaded."""

    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration
    cache_hit: Duration
    cache_miss: Duration


class BatchStatistics(msgspec.Struct, forbid_unknown_fields=True):
    """What executions of one size took."""

    batch_size: Natural
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration


class ModelStatistics(msgspec.Struct, forbid_unknown_fields=True):
    """What was counted of a loaded version."""

    name: str
    version: str
    last_inference: Annotated[int, Meta(ge=0, description="Milliseconds since 1970; 0: never.")]
    inference_count: Annotated[int, Meta(ge=0, description="Rows.")]
    execution_count: Natural
    inference_stats: InferenceStatistics
    batch_stats: list[BatchStatistics]


class Statistics(msgspec.Struct, forbid_unknown_fields=True):
    """Statistics of loaded models."""

    model_stats: list[ModelStatistics]


class RegisteredRegion(msgspec.Struct, forbid_unknown_fields=True):
    """A registered region of shared memory."""

    name: str
    key: str
    offset: Natural
    byte_size: Natural


class Done(msgspec.Struct, forbid_unknown_fields=True):
    """Nothing more to say."""
