# SPDX-License-Identifier: Apache-2.0
"""What a codec of ``/v1/infer`` provides, and the one message all of them read.

A request names a model and gives each input by name. Where a form of tensor carries no datatype, the model's signature
supplies it, so inputs stay as they came (:class:`Encoded`) until the signature is known: nothing is guessed or promoted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from core.errors import ErrorCode, InvalidRequest, TensorError
from core.features import Feature
from core.inference import InferenceRequest, InferenceResponse
from core.tensors import Array, DType, Signature, TensorSpec
from services.edge import json_tensors
from services.edge.limits import EdgeLimits
from services.edge.schedule import LEAST_URGENT

_LONGEST_MS: Final = 86_400_000.0  # a longer timeout means a day


class Encoded(Protocol):
    """One input as it came."""

    def decode(self, spec: TensorSpec, limits: EdgeLimits) -> tuple[Array, DType]:
        """The tensor and the datatype it was sent as.

        Raises:
            InvalidRequest: ``VALID_003`` beyond a limit.
            TensorError: ``TENSOR_*`` if it contradicts its own declaration or, without one, ``spec``.
        """
        ...


@dataclass(slots=True, kw_only=True)
class Message:
    """A request; ``timeout_ms`` and ``priority`` have been checked."""

    model: str
    version: str | None  # None: the model's default version
    inputs: Mapping[str, Encoded]
    outputs: tuple[str, ...] | None  # None: every output of the model
    timeout_ms: float | None
    priority: int
    raw: bool = False  # whether an input came as raw bytes; outputs are then written like that

    def deadline(self, arrived: float) -> float | None:
        """When the caller's patience ends, on the clock of ``arrived``; None if it set no bound."""
        return None if self.timeout_ms is None else arrived + min(self.timeout_ms, _LONGEST_MS) / 1e3


@dataclass(slots=True, kw_only=True)
class Answer:
    """A result and what is told beside it."""

    response: InferenceResponse
    request_id: str
    latency_ms: float
    raw: bool  # tensors as raw bytes, where the form of the answer has them

    def with_outputs(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """All of it, with the outputs as a codec writes them."""
        response = self.response
        return {
            "model": response.model,
            "version": response.version,
            "digest": response.digest,
            "outputs": outputs,
            "request_id": self.request_id,
            "latency_ms": self.latency_ms,
        }


class Codec(Protocol):
    """One form of requests, answers and errors. Has no state."""

    @property
    def feature(self) -> Feature | None:
        """What a tenant must have to use it; None: everybody may."""
        ...

    def parse(self, body: bytes, limits: EdgeLimits) -> Message:
        """Parses a body without touching its tensors.

        Raises:
            InvalidRequest: ``VALID_001`` if it is not such a message, ``VALID_002`` on a bad timeout or priority,
                ``VALID_003`` beyond a limit.
            TensorError: ``TENSOR_004`` if an input is given twice.
        """
        ...

    def encode(self, answer: Answer, limits: EdgeLimits) -> bytes:
        """Encodes a result.

        Raises:
            InvalidRequest: ``VALID_003`` if an output is too large for lists of numbers.
            TensorError: ``TENSOR_002`` or ``TENSOR_005`` if this form cannot carry an output.
        """
        ...

    def problem(self, error: Mapping[str, Any]) -> bytes:
        """Encodes an error: code, message, retryable, request_id and details."""
        ...


def to_request(
    message: Message,
    signature: Signature,
    *,
    limits: EdgeLimits,
    tenant: str,
    request_id: str,
    deadline: float | None,
    traceparent: str | None = None,
) -> InferenceRequest:
    """Decodes the tensors of a message.

    Raises:
        InvalidRequest: ``VALID_003`` beyond a limit.
        TensorError: ``TENSOR_004`` on an input the model does not have; see also :meth:`Encoded.decode`.
    """
    specs = {spec.name: spec for spec in signature.inputs}
    inputs: dict[str, Array] = {}
    dtypes: dict[str, DType] = {}
    strings = 0
    for name, encoded in message.inputs.items():
        spec = specs.get(name)
        if spec is None:
            raise TensorError(
                ErrorCode.TENSOR_UNEXPECTED,
                f"{message.model[:80]} has no input {name[:80]!r}; it has {', '.join(sorted(specs))}.",
                details={"input": name[:80]},
            )
        inputs[name], dtypes[name] = array, dtype = encoded.decode(spec, limits)
        if dtype is DType.BYTES:
            strings += array.size
            json_tensors.check_strings(strings, limits.bytes_elements)
    return InferenceRequest(
        tenant=tenant,
        model=message.model,
        version=message.version,
        request_id=request_id,
        inputs=inputs,
        dtypes=dtypes,
        outputs=message.outputs,
        deadline=deadline,
        priority=message.priority,
        traceparent=traceparent,
    )


def check_inputs(named: int, entries: int, limits: EdgeLimits) -> None:
    """Refuses too many inputs, and any that is given twice.

    Args:
        named: Distinct names.
        entries: Inputs in the body.
        limits: What is accepted.

    Raises:
        InvalidRequest: ``VALID_003``.
        TensorError: ``TENSOR_004``.
    """
    if entries > limits.tensors:
        raise InvalidRequest(ErrorCode.TOO_LARGE, f"The request has {entries} inputs; the limit is {limits.tensors}.")
    if entries != named:
        raise TensorError(ErrorCode.TENSOR_UNEXPECTED, "An input is given twice; send each name once.")


def check_beside(size: int, limits: EdgeLimits, *, way: str) -> None:
    """Refuses a request of more than so many bytes beside raw tensor data; ``way`` says how larger tensors are sent.

    Raises:
        InvalidRequest: ``VALID_003``.
    """
    if size > limits.json_bytes:
        raise InvalidRequest(
            ErrorCode.TOO_LARGE,
            f"The request has {size} bytes beside raw tensor data; the limit is {limits.json_bytes}. Larger tensors: send "
            f"them {way} or send it in binary form on /v2.",
            details={"got": size, "limit": limits.json_bytes},
        )


def check_timeout(timeout_ms: float | None) -> float | None:
    """Raises ``VALID_002`` unless it is a time."""
    if timeout_ms is not None and not (math.isfinite(timeout_ms) and timeout_ms > 0):
        raise InvalidRequest(ErrorCode.INVALID_FIELD, f"timeout_ms is {timeout_ms}; expected milliseconds above 0.")
    return timeout_ms


def check_priority(priority: int) -> int:
    """Raises ``VALID_002`` unless it is a priority."""
    if not 0 <= priority <= LEAST_URGENT:
        raise InvalidRequest(
            ErrorCode.INVALID_FIELD,
            f"priority is {str(priority)[:40]}; expected 1 (highest) to {LEAST_URGENT}, or 0 for the default.",
        )
    return priority


def malformed(error: Exception) -> InvalidRequest:
    """The error for a body that cannot be parsed."""
    return InvalidRequest(ErrorCode.MALFORMED, f"The request is not valid: {error}.")
