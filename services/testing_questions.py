# SPDX-License-Identifier: Apache-2.0
"""One table of requests, and the codes every protocol edge answers them with; the suite is in ``testing_contract``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from core.errors import AuthError, ErrorCode
from core.tensors import ANY, Array, DType, Signature, TensorSpec
from runners.interface import StopSignal
from runners.testing import POISON, FakeRunner
from services.edge.auth import Identified
from services.edge.context import Principal
from services.testing import MODEL

OK: Final = "ok"
ROWS: Final = ((1.5, 2.0), (3.0, -4.0))


class CannotAsk(Exception):
    """The protocol has no way to write this question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One input as a caller thinks of it."""

    name: str = "x"
    datatype: str = "FP32"
    data: Any = ROWS  # nested sequences of Python values; bytes for BYTES
    shape: tuple[int, ...] | None = None  # None: that of the data

    @property
    def declared_shape(self) -> tuple[int, ...]:
        return _shape(self.data) if self.shape is None else self.shape

    @property
    def flat(self) -> list[Any]:
        """The elements in row-major order."""
        return _flat(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One inference as a caller thinks of it."""

    inputs: tuple[Tensor, ...] = (Tensor(),)
    model: str = MODEL
    version: str | None = None
    outputs: tuple[str, ...] | None = None  # None: all
    timeout_us: int | None = None
    priority: int | None = None
    credential: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a caller gets."""

    code: str  # OK, or the stable code of an error
    text: str = ""  # all an error says, headers or metadata included
    outputs: Mapping[str, Array] = field(default_factory=dict)
    version: str = ""
    digest: str = ""
    request_id: str = ""
    told: Mapping[str, str] = field(default_factory=dict)  # what is said of a deprecated version


class Client(Protocol):
    """A caller that speaks one protocol."""

    async def ask(self, question: Question) -> Answer:
        """Sends one request and waits for its answer.

        Raises:
            CannotAsk: If the protocol cannot write it.
        """
        ...


class EchoRunner(FakeRunner):
    """Gives back what it gets, as one output ``y`` of any one datatype."""

    def __init__(self, dtype: DType) -> None:
        super().__init__()
        spec = TensorSpec(name="x", dtype=dtype, shape=(ANY, ANY))
        self.signature = Signature(inputs=(spec,), outputs=(replace(spec, name="y"),))

    def run(self, inputs: Mapping[str, Array], stop: StopSignal | None = None) -> dict[str, Array]:  # noqa: ARG002
        return {"y": inputs["x"].copy()}


class Keys:
    """A directory of two callers; a real one is the registry."""

    async def whoami(self, credential: str) -> Identified:
        tenants = {"key-acme": "acme", "key-rival": "rival"}
        if credential not in tenants:
            raise AuthError(ErrorCode.AUTH_INVALID, "The credential is not valid.")
        return Identified(principal=Principal(tenant=tenants[credential], key_id=credential), expires_at=None)


def with_input(**changes: Any) -> tuple[Tensor, ...]:
    return (Tensor(**changes),)


CASES: Final[Mapping[str, tuple[Question, ErrorCode]]] = {
    "another model": (Question(model="other"), ErrorCode.MODEL_NOT_FOUND),
    "another version": (Question(version="9"), ErrorCode.MODEL_NOT_FOUND),
    "no version": (Question(version="abc"), ErrorCode.MODEL_NOT_FOUND),
    "another spelling of the version": (Question(version="03"), ErrorCode.MODEL_NOT_FOUND),
    "too wide": (Question(inputs=with_input(data=((1.0, 2.0, 3.0),))), ErrorCode.TENSOR_SHAPE),
    "another rank": (Question(inputs=with_input(data=(1.0, 2.0))), ErrorCode.TENSOR_SHAPE),
    "no rows": (Question(inputs=with_input(data=(), shape=(0, 2))), ErrorCode.TENSOR_SHAPE),
    "too many rows": (Question(inputs=with_input(data=((1.0, 2.0),) * 5000)), ErrorCode.TOO_LARGE),
    "no input": (Question(inputs=()), ErrorCode.TENSOR_MISSING),
    "one input too many": (Question(inputs=(Tensor(), Tensor(name="z"))), ErrorCode.TENSOR_UNEXPECTED),
    "an input twice": (Question(inputs=(Tensor(), Tensor())), ErrorCode.TENSOR_UNEXPECTED),
    "too many inputs": (Question(inputs=tuple(Tensor(name=f"x{n}") for n in range(70))), ErrorCode.TOO_LARGE),
    "an unknown output": (Question(outputs=("logits",)), ErrorCode.TENSOR_UNEXPECTED),
    "poison": (Question(inputs=with_input(data=((POISON, 0.0),))), ErrorCode.TENSOR_REJECTED),
    "a negative priority": (Question(priority=-1), ErrorCode.INVALID_FIELD),
    "a negative timeout": (Question(timeout_us=-1), ErrorCode.INVALID_FIELD),
}

DECLARATIONS: Final[Mapping[str, tuple[Question, ErrorCode]]] = {
    "negative shape": (Question(inputs=with_input(shape=(-1, 2))), ErrorCode.TENSOR_SHAPE),
    "absurd shape": (Question(inputs=with_input(shape=(2**40, 2**40))), ErrorCode.TENSOR_SHAPE),
    "absurd rank": (Question(inputs=with_input(shape=(1,) * 40)), ErrorCode.TENSOR_SHAPE),
    "another datatype": (Question(inputs=with_input(datatype="FP64")), ErrorCode.TENSOR_DTYPE),
    "integers for floats": (Question(inputs=with_input(datatype="INT32", data=((1, 2),))), ErrorCode.TENSOR_DTYPE),
    "no datatype": (Question(inputs=with_input(datatype="FP31")), ErrorCode.TENSOR_DTYPE),
}

DATA: Final[Mapping[str, Any]] = {
    "BOOL": ((True, False), (False, True)),
    "UINT8": ((0, 255),),
    "UINT16": ((0, 2**16 - 1),),
    "UINT32": ((0, 2**32 - 1),),
    "UINT64": ((0, 2**64 - 1),),
    "INT8": ((-128, 127),),
    "INT16": ((-(2**15), 2**15 - 1),),
    "INT32": ((-(2**31), 2**31 - 1),),
    "INT64": ((-(2**63), 2**63 - 1),),
    "FP16": ((0.5, -2.0),),
    "BF16": ((0.5, -2.0),),
    "FP32": ((0.1, -3.4e38), (1e-45, 0.0)),
    "FP64": ((0.1, -1.7e308),),
    "BYTES": ((b"", b"text"), (b"\xc3\xa9", b"x" * 300)),
}


def _shape(data: Any) -> tuple[int, ...]:
    """The shape a careful client declares: that of the first element all the way down."""
    if not isinstance(data, tuple | list):
        return ()
    return (len(data), *(_shape(data[0]) if data else ()))


def _flat(data: Any) -> list[Any]:
    if not isinstance(data, tuple | list):
        return [data]
    return [element for part in data for element in _flat(part)]
