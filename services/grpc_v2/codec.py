# SPDX-License-Identifier: Apache-2.0
"""Between the protocol's messages and the data plane's values.

Raw tensors are views of the received message wherever they are aligned in it. Outputs always travel raw, or in the shared
memory the request names. Fields and parameters the protocol does not know are ignored; what it knows and this server does not
do is refused: an answer that silently left it out would be wrong.

A client says the same with every request, but for its id and its raw tensors. What a small request without typed contents
and shared memory declares is therefore checked once and remembered under its bytes; so is the head of an answer.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from core.errors import ErrorCode, InvalidRequest, TensorError
from core.inference import InferenceRequest, InferenceResponse
from core.tensors import Array, DType, Shape
from services.edge import binary_tensors
from services.edge.context import Principal
from services.edge.limits import EdgeLimits
from services.edge.schedule import schedule
from services.grpc_v2 import wire
from services.grpc_v2.inputs import Declared, Reader
from services.grpc_v2.messages import Received, plain
from services.grpc_v2.protocol import open_inference_pb2 as pb
from services.shared_memory.references import Places, reference
from services.shared_memory.regions import Regions

DIGEST_KEY: Final = "x-furoshiki-model-digest"  # the response parameter that names the verified bundle

_ID: Final = pb.ModelInferResponse.ID_FIELD_NUMBER
_RAW_OUTPUT: Final = pb.ModelInferResponse.RAW_OUTPUT_CONTENTS_FIELD_NUMBER
_MOST_REMEMBERED: Final = 1024
_LONGEST_REMEMBERED: Final = 2048  # bytes


class Origin(NamedTuple):
    """Where a request came from."""

    caller: Principal
    request_id: str
    now: float  # on the event loop's clock
    deadline: float | None  # of the call, on the same clock
    traceparent: str | None


class Wanted(NamedTuple):
    """How the answer must be written."""

    id: str  # echoed
    places: Places | None = None  # where outputs are put into shared memory; None: nowhere


class _Plan(NamedTuple):
    """What a request declares, beside its id and its raw tensors."""

    model: str
    version: str | None
    inputs: list[Declared]
    dtypes: dict[str, DType]
    outputs: tuple[str, ...] | None
    timeout_s: float | None
    priority: int


class Decoder:
    """Decodes infer requests.

    Args:
        limits: What is accepted.
        regions: The registered regions of shared memory.
    """

    def __init__(self, limits: EdgeLimits, regions: Regions) -> None:
        self._limits = limits
        self._regions = regions
        self._plans: dict[bytes, _Plan] = {}

    def decode(self, received: Received, origin: Origin) -> tuple[InferenceRequest, Wanted]:
        """Decodes the tensors of a request.

        Args:
            received: The request.
            origin: Where it came from.

        Raises:
            AuthError: ``AUTH_003`` if it uses shared memory and that is off, for all or for the tenant.
            InvalidRequest: ``VALID_*`` if a field is wrong or beyond a limit.
            TensorError: ``TENSOR_*`` if a tensor contradicts its own declaration.
        """
        raw = received.raw
        if not raw:
            return self._decode(received, origin, b"")
        key = received.message.SerializeToString()
        plan = self._plans.get(key)
        if plan is None or len(plan.inputs) != len(raw):
            return self._decode(received, origin, key)
        inputs = {declared.name: declared.view(raw[index]) for index, declared in enumerate(plan.inputs)}
        return _request(plan, inputs, origin), Wanted(received.id)

    def _decode(self, received: Received, origin: Origin, key: bytes) -> tuple[InferenceRequest, Wanted]:
        message = received.message
        reader = Reader(received, self._limits, self._regions, origin.caller)
        inputs: dict[str, Array] = {}
        dtypes: dict[str, DType] = {}
        for tensor in message.inputs:
            name = tensor.name
            if name in inputs:
                raise TensorError(ErrorCode.TENSOR_UNEXPECTED, f"Input {name[:80]!r} is given twice.")
            inputs[name], dtypes[name] = reader.read(tensor)
        reader.finish()
        until, priority = schedule(plain(message.parameters), 0.0) if message.parameters else (None, 0)
        plan = _Plan(
            model=message.model_name,
            version=message.model_version or None,
            inputs=reader.declared,
            dtypes=dtypes,
            outputs=_outputs(message, reader) if message.outputs else None,
            timeout_s=until,
            priority=priority,
        )
        if key and len(key) <= _LONGEST_REMEMBERED and reader.places is None:
            if len(self._plans) >= _MOST_REMEMBERED:
                self._plans.clear()
            self._plans[key] = plan
        return _request(plan, inputs, origin), Wanted(received.id, reader.places)


def _request(plan: _Plan, inputs: dict[str, Array], origin: Origin) -> InferenceRequest:
    deadline = origin.deadline
    if plan.timeout_s is not None:
        asked = origin.now + plan.timeout_s
        deadline = asked if deadline is None else min(asked, deadline)
    return InferenceRequest(
        tenant=origin.caller.tenant,
        model=plan.model,
        version=plan.version,
        request_id=origin.request_id,
        inputs=inputs,
        dtypes=plan.dtypes,
        outputs=plan.outputs,
        deadline=deadline,
        priority=plan.priority,
        traceparent=origin.traceparent,
    )


def _outputs(message: pb.ModelInferRequest, reader: Reader) -> tuple[str, ...]:
    """The names of the outputs that are asked for; notes which of them go into shared memory."""
    names: dict[str, None] = {}
    for output in message.outputs:
        name = output.name
        if name in names:
            raise TensorError(ErrorCode.TENSOR_UNEXPECTED, f"Output {name[:80]!r} is asked for twice.")
        names[name] = None
        if output.parameters:
            given = plain(output.parameters)
            if given.get("classification"):
                raise InvalidRequest(
                    ErrorCode.INVALID_FIELD,
                    f"Output {name[:80]!r} asks for 'classification', which this server does not do.",
                )
            at = reference(given, name=name)
            if at is not None:
                reader.memory().expect(name, at)
    return tuple(names)


def encode(response: InferenceResponse, wanted: Wanted) -> bytes:
    """A serialised ``ModelInferResponse``. May run in a thread.

    Raises:
        InvalidRequest: ``VALID_002`` if an output does not fit where it was to be put.
        Unavailable: ``STORE_004`` if the machine has no memory for an output in shared memory.
    """
    parts: list[bytes | memoryview] = [_head(response.model, response.version, response.digest)]
    if wanted.id:
        id_ = wanted.id.encode()
        parts += (wire.delimited(_ID, len(id_)), id_)
    for name, array in response.outputs.items():
        dtype = response.dtypes[name]
        placed = None if wanted.places is None else wanted.places.write(name, array, dtype)
        if placed is None:
            data = binary_tensors.lent(array, dtype)
            parts += (_output(name, dtype, array.shape), wire.delimited(_RAW_OUTPUT, len(data)), data)
        else:
            # Clients count on one raw output per output.
            parts += (_placed(name, dtype, array.shape, placed), wire.delimited(_RAW_OUTPUT, 0))
    return b"".join(parts)


@lru_cache(maxsize=_MOST_REMEMBERED)
def _head(model: str, version: str, digest: str) -> bytes:
    """What every answer of a model says about it, serialised."""
    told = {DIGEST_KEY: pb.InferParameter(string_param=digest)}
    return pb.ModelInferResponse(model_name=model, model_version=version, parameters=told).SerializeToString()


@lru_cache(maxsize=_MOST_REMEMBERED)
def _output(name: str, dtype: DType, shape: Shape) -> bytes:
    """An output that travels raw, as a field of an answer, serialised."""
    message = pb.ModelInferResponse()
    message.outputs.add(name=name, datatype=dtype.oip, shape=shape)
    return message.SerializeToString()


def _placed(name: str, dtype: DType, shape: Shape, placed: dict[str, str | int]) -> bytes:
    message = pb.ModelInferResponse()
    output = message.outputs.add(name=name, datatype=dtype.oip, shape=shape)
    for key, value in placed.items():
        if isinstance(value, str):
            output.parameters[key].string_param = value
        else:
            output.parameters[key].int64_param = value
    return message.SerializeToString()
