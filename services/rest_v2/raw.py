# SPDX-License-Identifier: Apache-2.0
"""The raw form of a request: no JSON at all, the body is the data of the model's one input.

``Inference-Header-Content-Length: 0`` says so. Datatype and shape come from the model: one dimension of any size follows from
the number of bytes; of two, the first counts as a batch of one row. The body of a BYTES input is its one element. Every
output comes back in binary form, as with Triton.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from core.errors import ErrorCode, InvalidRequest, TensorError
from core.inference import InferenceRequest
from core.tensors import ANY, Array, Shape, Signature, TensorSpec, element_count
from services.edge import binary_tensors
from services.edge.bodies import Body
from services.edge.limits import EdgeLimits
from services.rest_v2.codec import Wanted

HEADER_LENGTH: Final = b"0"  # of a request in this form


def decode(
    body: Body,
    signature: Signature,
    *,
    limits: EdgeLimits,
    tenant: str,
    model: str,
    version: str | None,
    request_id: str,
) -> tuple[InferenceRequest, Wanted]:
    """Decodes a raw request.

    Args:
        body: The data of the input.
        signature: What the model takes.
        limits: What is accepted.
        tenant: Whose request it is.
        model: Model name of the route.
        version: Version of the route, if it has one.
        request_id: The id of the exchange.

    Raises:
        InvalidRequest: ``VALID_002`` if the model has several inputs.
        TensorError: ``TENSOR_001`` or ``TENSOR_005`` if the bytes are no such input.
    """
    if len(signature.inputs) != 1:
        raise InvalidRequest(
            ErrorCode.INVALID_FIELD,
            f"{model} has {len(signature.inputs)} inputs; a request without JSON can only bring one.",
        )
    spec = signature.inputs[0]
    request = InferenceRequest(
        tenant=tenant,
        model=model,
        version=version,
        request_id=request_id,
        inputs={spec.name: _tensor(body, spec, limits)},
        dtypes={spec.name: spec.dtype},
    )
    return request, Wanted(id="", binary_default=True, binary={})


def _tensor(body: Body, spec: TensorSpec, limits: EdgeLimits) -> Array:
    itemsize = spec.dtype.itemsize
    if itemsize is None:
        one = np.empty(1, dtype=object)
        one[0] = bytes(body)
        return one.reshape(_shape(spec, 1))
    count, odd = divmod(len(body), itemsize)
    if odd:
        raise TensorError(
            ErrorCode.TENSOR_DATA,
            f"{len(body)} bytes are no whole number of {spec.dtype.oip} elements; input {spec.name!r} has {itemsize} each.",
        )
    shape = _shape(spec, count)
    element_count(shape, name=spec.name, limit=limits.tensor_elements)
    return binary_tensors.decode(body, 0, len(body), dtype=spec.dtype, shape=shape, count=count, name=spec.name)


def _shape(spec: TensorSpec, count: int) -> Shape:
    """The shape of ``count`` elements.

    Raises:
        TensorError: ``TENSOR_001`` if there is none, or more than one.
    """
    open_dimensions = [index for index, size in enumerate(spec.shape) if size == ANY]
    shape = list(spec.shape)
    if len(open_dimensions) == 2 and open_dimensions[0] == 0:
        shape[open_dimensions.pop(0)] = 1
    known = math.prod(size for size in shape if size != ANY)
    if len(open_dimensions) == 1 and known and count % known == 0:
        shape[open_dimensions[0]] = count // known
    if math.prod(shape) != count or min(shape, default=0) < 0:
        raise TensorError(
            ErrorCode.TENSOR_SHAPE,
            f"{count} elements tell no shape for input {spec.name!r}, {list(spec.shape)}; send a request with JSON.",
        )
    return tuple(shape)
