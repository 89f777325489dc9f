# SPDX-License-Identifier: Apache-2.0
"""Between the protocol's JSON-and-binary messages and the data plane's values.

Follows the Open Inference Protocol v2 with its binary tensor data, schedule policy and system shared memory extensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import orjson

from core.errors import ErrorCode, InvalidRequest, TensorError
from core.features import Feature
from core.inference import InferenceRequest, InferenceResponse
from core.tensors import Array, DType, dtype_from_oip
from services.edge import binary_tensors, json_tensors
from services.edge.bodies import Body
from services.edge.features import Entitled, require
from services.edge.limits import EdgeLimits
from services.edge.schedule import schedule
from services.rest_v2.inputs import Reader
from services.rest_v2.message import Output, json_size, parse
from services.shared_memory.references import Places, reference
from services.shared_memory.regions import RegionLimits, Regions

NO_REGIONS: Final = Regions(RegionLimits(enabled=False))


class Wanted(msgspec.Struct):
    """How the answer must be written."""

    id: str  # echoed if not empty
    binary_default: bool
    binary: dict[str, bool]  # by output name, where the request says so
    places: Places | None = None  # where outputs are put into shared memory; None: nowhere

    def is_binary(self, name: str) -> bool:
        return self.binary.get(name, self.binary_default)


def decode(
    body: Body,
    header_length: bytes | None,
    *,
    limits: EdgeLimits,
    tenant: str,
    model: str,
    version: str | None,
    request_id: str,
    now: float,
    regions: Regions = NO_REGIONS,
    caller: Entitled | None = None,
) -> tuple[InferenceRequest, Wanted]:
    """Decodes an infer request that has a JSON part; for those that have none see :mod:`services.rest_v2.raw`.

    Args:
        body: The whole body: JSON, then the binary tensors in the order of ``inputs``. It must not change any more:
            tensors may be views of it.
        header_length: ``Inference-Header-Content-Length`` as received: bytes of the JSON part; None: all of it.
        limits: What is accepted.
        tenant: Whose request it is.
        model: Model name of the route.
        version: Version of the route, if it has one.
        request_id: The id of the exchange.
        now: The event loop's time, the origin of the ``timeout`` parameter.
        regions: The registered regions of shared memory.
        caller: Whose features apply; None: all are on.

    Raises:
        AuthError: ``AUTH_003`` if it uses a feature the tenant does not have, or shared memory where that is off.
        InvalidRequest: ``VALID_*`` if the message is malformed or beyond a limit.
        TensorError: ``TENSOR_*`` if a tensor contradicts its own declaration.
    """
    if header_length is not None and caller is not None:
        require(caller, Feature.V2_BINARY)
    size = json_size(header_length, len(body), limits)
    message = parse(body if header_length is None else memoryview(body)[:size], limits)
    reader = Reader(body, size, limits, regions, tenant)
    inputs: dict[str, Array] = {}
    dtypes: dict[str, DType] = {}
    for tensor in message.inputs:
        name = tensor.name
        if name in inputs:
            raise TensorError(ErrorCode.TENSOR_UNEXPECTED, f"Input {name[:80]!r} is given twice.")
        dtype = dtypes[name] = dtype_from_oip(tensor.datatype)
        inputs[name] = reader.read(tensor, dtype)
    reader.finish()
    deadline, priority, everything_binary = None, 0, False
    if message.parameters:
        deadline, priority = schedule(message.parameters, now)
        everything_binary = _flag(message.parameters, "binary_data_output")
    wanted = Wanted(message.id, everything_binary, {})
    if message.outputs:
        _choose(message.outputs, wanted, reader)
    if caller is not None:
        _check_features(caller, wanted, reader)
    request = InferenceRequest(
        tenant=tenant,
        model=model,
        version=version,
        request_id=request_id,
        inputs=inputs,
        dtypes=dtypes,
        outputs=tuple([output.name for output in message.outputs]) if message.outputs else None,
        deadline=deadline,
        priority=priority,
    )
    return request, wanted


def _choose(outputs: list[Output], wanted: Wanted, reader: Reader) -> None:
    """Takes over what the request says of single outputs."""
    for output in outputs:
        if not output.parameters:
            continue
        if "binary_data" in output.parameters:
            wanted.binary[output.name] = _flag(output.parameters, "binary_data")
        at = reference(output.parameters, name=output.name)
        if at is not None:
            wanted.places = reader.places
            wanted.places.expect(output.name, at)


def _flag(parameters: Mapping[str, Any], name: str) -> bool:
    value = parameters.get(name, False)
    if type(value) is not bool:
        raise InvalidRequest(
            ErrorCode.INVALID_FIELD, f"Parameter {name!r} is {str(value)[:40]!r}; expected true or false."
        )
    return value


def _check_features(caller: Entitled, wanted: Wanted, reader: Reader) -> None:
    if wanted.binary_default or (wanted.binary and any(wanted.binary.values())):
        require(caller, Feature.V2_BINARY)
    if reader.uses_memory:
        require(caller, Feature.V2_SHARED_MEMORY)


def encode(response: InferenceResponse, wanted: Wanted, limits: EdgeLimits) -> tuple[bytes, int | None]:
    """Encodes a result.

    Returns:
        The body, and the length of its JSON part if binary tensors follow it (None: all JSON).

    Raises:
        InvalidRequest: ``VALID_002`` if an output does not fit where it was to be put, ``VALID_003`` if it is too large
            for JSON.
        TensorError: ``TENSOR_002`` or ``TENSOR_005`` if JSON cannot carry an output that was not asked for in binary form.
        Unavailable: ``STORE_004`` if the machine has no memory for an output in shared memory.
    """
    tail: list[bytes | memoryview] = []
    outputs: list[dict[str, Any]] = []
    for name, array in response.outputs.items():
        dtype = response.dtypes[name]
        tensor: dict[str, Any] = {"name": name, "datatype": dtype.oip, "shape": array.shape}
        placed = None if wanted.places is None else wanted.places.write(name, array, dtype)
        if placed is not None:
            tensor["parameters"] = placed
        elif wanted.is_binary(name):
            data = binary_tensors.lent(array, dtype)
            tensor["parameters"] = {"binary_data_size": len(data)}
            tail.append(data)
        else:
            tensor["data"] = json_tensors.encodable(array, dtype, name=name, limit=limits.json_bytes)
        outputs.append(tensor)
    message: dict[str, Any] = {"model_name": response.model, "model_version": response.version, "outputs": outputs}
    if wanted.id:
        message["id"] = wanted.id
    head = orjson.dumps(message, option=orjson.OPT_SERIALIZE_NUMPY)
    return (head, None) if not tail else (b"".join((head, *tail)), len(head))
