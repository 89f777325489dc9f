# SPDX-License-Identifier: Apache-2.0
"""The input tensors of a request, wherever they are: raw, typed, or in shared memory."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from core.errors import ErrorCode, InvalidRequest, TensorError
from core.features import Feature
from core.tensors import Array, DType, dtype_from_oip, element_count
from services.edge import binary_tensors, json_tensors
from services.edge.context import Principal
from services.edge.features import require
from services.edge.limits import EdgeLimits
from services.grpc_v2 import contents
from services.grpc_v2.messages import Piece, Received, plain
from services.grpc_v2.protocol import open_inference_pb2 as pb
from services.shared_memory.references import Places, reference
from services.shared_memory.regions import Regions

_Input: TypeAlias = pb.ModelInferRequest.InferInputTensor


class Declared(NamedTuple):
    """What a request says of a tensor; checked against the limits."""

    name: str
    dtype: DType
    shape: list[int]
    elements: int

    def view(self, piece: Piece) -> Array:
        """The tensor that raw contents hold.

        Raises:
            TensorError: ``TENSOR_005`` if they are not what was declared.
        """
        name, dtype, shape, count = self
        body, start, size = piece
        return binary_tensors.decode(body, start, size, dtype=dtype, shape=shape, count=count, name=name[:80])


class Reader:
    """Reads the tensors of one request in their order.

    Args:
        received: The request.
        limits: What is accepted.
        regions: The registered regions of shared memory.
        caller: Who sent it.
    """

    __slots__ = ("_caller", "_limits", "_raw", "_regions", "_strings", "declared", "places")

    def __init__(self, received: Received, limits: EdgeLimits, regions: Regions, caller: Principal) -> None:
        self._raw = received.raw
        self._limits = limits
        self._regions = regions
        self._caller = caller
        self._strings = 0  # BYTES elements so far
        self.declared: list[Declared] = []  # the tensors that were raw
        self.places: Places | None = None

    def memory(self) -> Places:
        """The shared memory of the request.

        Raises:
            AuthError: ``AUTH_003`` if the tenant may not use it.
        """
        if self.places is None:
            require(self._caller, Feature.V2_SHARED_MEMORY)
            self.places = Places(self._regions, self._caller.tenant, most_bytes=self._limits.body_bytes)
        return self.places

    def read(self, tensor: _Input) -> tuple[Array, DType]:
        """The next tensor.

        Raises:
            AuthError: ``AUTH_003`` if it is in shared memory and that is off, for all or for the tenant.
            InvalidRequest: ``VALID_002`` on a wrong reference to shared memory, ``VALID_003`` beyond a limit,
                ``VALID_008`` without raw contents where others have some.
            TensorError: ``TENSOR_*`` if its data is not what it declares.
        """
        declared = name, dtype, shape, count = self._declaration(tensor)
        at = reference(plain(tensor.parameters), name=name) if tensor.parameters else None
        if at is not None:
            _refuse_contents(tensor, "shared memory")
            return self.memory().read(at, dtype=dtype, shape=shape, count=count, name=name[:80]), dtype
        if self._raw:
            return self._read_raw(tensor, Declared(*declared)), dtype
        if count and not tensor.HasField("contents"):
            raise contents.bad_data(name, "there are neither contents nor raw_input_contents nor shared memory")
        return contents.decode(tensor.contents, dtype, shape=shape, count=count, name=name), dtype

    def finish(self) -> None:
        """Raises ``VALID_008`` if raw contents are left."""
        if len(self.declared) != len(self._raw):
            raise InvalidRequest(
                ErrorCode.LENGTH_MISMATCH,
                f"There are {len(self._raw)} raw_input_contents for {len(self.declared)} inputs that are not in shared "
                "memory.",
            )

    def _declaration(self, tensor: _Input) -> tuple[str, DType, list[int], int]:
        name, shape, limits = tensor.name, list(tensor.shape), self._limits
        dtype = dtype_from_oip(tensor.datatype)
        if len(shape) > limits.rank:
            raise TensorError(
                ErrorCode.TENSOR_SHAPE, f"Tensor {name[:80]!r} has rank {len(shape)}; limit {limits.rank}."
            )
        count = element_count(shape, name=name[:80], limit=limits.tensor_elements)
        if dtype is DType.BYTES:
            self._strings += count
            json_tensors.check_strings(self._strings, limits.bytes_elements)
        return name, dtype, shape, count

    def _read_raw(self, tensor: _Input, declared: Declared) -> Array:
        _refuse_contents(tensor, "raw_input_contents")
        index = len(self.declared)
        if index == len(self._raw):
            raise InvalidRequest(
                ErrorCode.LENGTH_MISMATCH, f"There is no raw_input_contents for tensor {declared.name[:80]!r}."
            )
        self.declared.append(declared)
        return declared.view(self._raw[index])


def _refuse_contents(tensor: _Input, other: str) -> None:
    if tensor.HasField("contents"):
        raise contents.bad_data(tensor.name, f"it has both contents and {other}; send one of them")
