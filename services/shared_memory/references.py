# SPDX-License-Identifier: Apache-2.0
"""A tensor that lies in shared memory: the three parameters every protocol names it by, and the way in and out.

Follows Triton's shared-memory extension: ``shared_memory_region`` and ``shared_memory_byte_size`` go together,
``shared_memory_offset`` is 0 if it is absent. The bytes in a region are the binary form of the tensor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeGuard

from core.errors import ErrorCode, InvalidRequest
from core.tensors import Array, DType
from services.edge import binary_tensors
from services.shared_memory.regions import Regions

REGION: Final = "shared_memory_region"
OFFSET: Final = "shared_memory_offset"
BYTE_SIZE: Final = "shared_memory_byte_size"


class Reference(NamedTuple):
    """Where a tensor lies, or must be put."""

    region: str
    offset: int  # bytes into the region
    size: int  # bytes of the tensor, or set aside for it


def reference(parameters: Mapping[str, Any], *, name: str) -> Reference | None:
    """The reference in a tensor's parameters; None if the tensor is not in shared memory.

    Args:
        parameters: As the protocol gave them, each value of its plain Python type.
        name: The tensor's name, for messages.

    Raises:
        InvalidRequest: ``VALID_002`` if one parameter comes without the other, or is no text or whole number.
    """
    if REGION not in parameters and BYTE_SIZE not in parameters and OFFSET not in parameters:
        return None
    region, size, offset = parameters.get(REGION), parameters.get(BYTE_SIZE), parameters.get(OFFSET, 0)
    if type(region) is not str or not _is_size(size) or not _is_size(offset):
        raise InvalidRequest(
            ErrorCode.INVALID_FIELD,
            f"Tensor {name[:80]!r}: shared memory wants {REGION!r} (text), {BYTE_SIZE!r} and, optionally, {OFFSET!r} "
            f"(bytes >= 0); got {str(region)[:40]!r}, {str(size)[:20]}, {str(offset)[:20]}.",
        )
    return Reference(region, offset, size)


def _is_size(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < 2**63


def read(
    regions: Regions, tenant: str, at: Reference, *, dtype: DType, shape: Sequence[int], count: int, name: str
) -> Array:
    """A copy of an input tensor.

    Args:
        regions: The registered regions.
        tenant: Whose region it is.
        at: Where the tensor lies.
        dtype: The declared datatype.
        shape: The declared shape.
        count: The product of ``shape``, checked against the limit.
        name: The tensor's name, for messages.

    Raises:
        AuthError, InvalidRequest: As :meth:`Regions.read`.
        TensorError: ``TENSOR_005`` if the bytes are not ``count`` elements of the datatype.
    """
    binary_tensors.check_size(at.size, dtype=dtype, shape=shape, count=count, name=name)
    data = regions.read(tenant, at.region, at.offset, at.size)
    return binary_tensors.decode(data, 0, at.size, dtype=dtype, shape=shape, count=count, name=name)


def write(regions: Regions, tenant: str, at: Reference, array: Array, dtype: DType, *, name: str) -> int:
    """Puts an output tensor where it is wanted.

    Returns:
        Its size in bytes.

    Raises:
        AuthError, InvalidRequest, Unavailable: As :meth:`Regions.write`; ``VALID_002`` also if it is larger than the bytes
            set aside for it.
    """
    data = binary_tensors.lent(array, dtype)
    if len(data) > at.size:
        raise InvalidRequest(
            ErrorCode.INVALID_FIELD,
            f"Output {name[:80]!r} has {len(data)} bytes; {at.size} are set aside in region {at.region[:80]!r}.",
            details={"output": name[:80], "got": len(data), "limit": at.size},
        )
    regions.write(tenant, at.region, at.offset, data)
    return len(data)


class Places:
    """The shared memory of one request: where its inputs lie and its outputs must be put.

    Args:
        regions: The registered regions.
        tenant: Whose request it is.
        most_bytes: The most its inputs may have together.
    """

    __slots__ = ("_left", "_most", "_outputs", "_regions", "_tenant")

    def __init__(self, regions: Regions, tenant: str, *, most_bytes: int) -> None:
        self._regions = regions
        self._tenant = tenant
        self._most = self._left = most_bytes
        self._outputs: dict[str, Reference] = {}

    def read(self, at: Reference, *, dtype: DType, shape: Sequence[int], count: int, name: str) -> Array:
        """A copy of an input tensor.

        Raises:
            AuthError, InvalidRequest, TensorError: As :func:`read`; ``VALID_003`` beyond ``most_bytes``.
        """
        self._left -= at.size
        if self._left < 0:
            raise InvalidRequest(
                ErrorCode.TOO_LARGE,
                f"The request has more than {self._most} bytes in shared memory, the limit.",
                details={"limit": self._most},
            )
        return read(self._regions, self._tenant, at, dtype=dtype, shape=shape, count=count, name=name)

    def expect(self, name: str, at: Reference) -> None:
        """Output ``name`` must be put there; told before the model runs.

        Raises:
            AuthError, InvalidRequest: As :meth:`Regions.check`.
        """
        self._regions.check(self._tenant, at.region, at.offset, at.size)
        self._outputs[name] = at

    def write(self, name: str, array: Array, dtype: DType) -> dict[str, str | int] | None:
        """Puts an output where it is expected.

        Returns:
            The parameters that say where it lies now; None if it is not expected in shared memory.

        Raises:
            AuthError, InvalidRequest, Unavailable: As :func:`write`.
        """
        at = self._outputs.get(name)
        if at is None:
            return None
        size = write(self._regions, self._tenant, at, array, dtype, name=name)
        placed: dict[str, str | int] = {REGION: at.region, BYTE_SIZE: size}
        return placed | {OFFSET: at.offset} if at.offset else placed
