# SPDX-License-Identifier: Apache-2.0
"""The input tensors of a request, wherever they are: in its JSON, behind its JSON, or in shared memory."""

from __future__ import annotations

from typing import Any

from core.errors import ErrorCode, InvalidRequest, TensorError
from core.tensors import Array, DType, element_count
from services.edge import binary_tensors, json_tensors
from services.edge.bodies import Body
from services.edge.limits import EdgeLimits
from services.rest_v2.message import Input
from services.shared_memory.references import Places, reference
from services.shared_memory.regions import Regions


class Reader:
    """Reads the tensors of one request in their order.

    Args:
        body: The whole body.
        start: Where its binary part begins.
        limits: What is accepted.
        regions: The registered regions of shared memory.
        tenant: Whose request it is.
    """

    __slots__ = ("_body", "_limits", "_offset", "_places", "_regions", "_strings", "_tenant")

    def __init__(self, body: Body, start: int, limits: EdgeLimits, regions: Regions, tenant: str) -> None:
        self._body = body
        self._offset = start
        self._limits = limits
        self._regions = regions
        self._tenant = tenant
        self._places: Places | None = None
        self._strings = 0

    @property
    def places(self) -> Places:
        """The shared memory of the request."""
        if self._places is None:
            self._places = Places(self._regions, self._tenant, most_bytes=self._limits.body_bytes)
        return self._places

    @property
    def uses_memory(self) -> bool:
        """Whether anything of the request is in shared memory."""
        return self._places is not None

    def read(self, tensor: Input, dtype: DType) -> Array:
        """The tensor's data.

        Raises:
            AuthError: ``AUTH_003`` if it is in shared memory and that is off.
            InvalidRequest: ``VALID_008`` if the body is shorter than declared, ``VALID_003`` beyond a limit, ``VALID_002``
                on a wrong reference to shared memory.
            TensorError: ``TENSOR_001`` or ``TENSOR_005`` if its data is not what it declares.
        """
        shape = tensor.shape
        if len(shape) > self._limits.rank:
            raise TensorError(
                ErrorCode.TENSOR_SHAPE,
                f"Tensor {tensor.name[:80]!r} has rank {len(shape)}; limit {self._limits.rank}.",
            )
        count = element_count(shape, name=tensor.name, limit=self._limits.tensor_elements)
        if dtype is DType.BYTES:
            self._strings += count
            json_tensors.check_strings(self._strings, self._limits.bytes_elements)
        if tensor.parameters:
            array = self._elsewhere(tensor, tensor.parameters, dtype, count)
            if array is not None:
                return array
        return self._json(tensor, dtype, count)

    def finish(self) -> None:
        """Raises ``VALID_008`` if bytes follow the last tensor."""
        left = len(self._body) - self._offset
        if left:
            raise InvalidRequest(ErrorCode.LENGTH_MISMATCH, f"{left} bytes follow the last tensor; expected none.")

    def _elsewhere(self, tensor: Input, parameters: dict[str, Any], dtype: DType, count: int) -> Array | None:
        """The tensor from behind the JSON or from shared memory; None if its data is in the JSON."""
        size = parameters.get("binary_data_size")
        at = reference(parameters, name=tensor.name) if size is None or len(parameters) > 1 else None
        if at is None and size is None:
            return None
        if len(tensor.data) or (at is not None and size is not None):
            raise TensorError(
                ErrorCode.TENSOR_DATA,
                f"Tensor {tensor.name[:80]!r} has more than one of 'data', 'binary_data_size' and shared memory.",
            )
        if at is not None:
            return self.places.read(at, dtype=dtype, shape=tensor.shape, count=count, name=tensor.name)
        return self._binary(tensor, dtype, count, size)

    def _binary(self, tensor: Input, dtype: DType, count: int, size: object) -> Array:
        start = self._offset
        left = len(self._body) - start
        if type(size) is not int or not 0 <= size <= left:
            raise InvalidRequest(
                ErrorCode.LENGTH_MISMATCH,
                f"Tensor {tensor.name[:80]!r} declares {str(size)[:20]} binary bytes; {left} are left in the body.",
            )
        self._offset = start + size
        return binary_tensors.decode(
            self._body, start, size, dtype=dtype, shape=tensor.shape, count=count, name=tensor.name
        )

    def _json(self, tensor: Input, dtype: DType, count: int) -> Array:
        name, shape = tensor.name, tensor.shape
        if not len(tensor.data):
            raise TensorError(
                ErrorCode.TENSOR_DATA,
                f"Tensor {name[:80]!r} has neither 'data' nor 'binary_data_size' nor shared memory.",
            )
        rank = len(shape) or 1
        most = self._limits.bytes_elements
        array = json_tensors.decode(tensor.data, dtype, name=name, rank=rank, most_strings=most)
        nested = array.ndim > 1
        if array.size != count or (nested and list(array.shape) != shape):
            raise TensorError(
                ErrorCode.TENSOR_SHAPE,
                f"Data of tensor {name!r} has shape {list(array.shape)}; its 'shape' says {shape}.",
                details={"tensor": name},
            )
        return array.reshape(shape)
