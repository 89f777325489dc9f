# SPDX-License-Identifier: Apache-2.0
"""The heads of the frames, in MessagePack with a fixed order of fields."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from core.tensors import DType, Shape, Signature, TensorSpec
from runners.cache import LoadedModel
from runners.statistics import ModelStatistics


class Request(msgspec.Struct, array_like=True, gc=False):
    """One inference."""

    tenant: str
    request_id: str
    shapes: list[Shape]  # of the tensors, in the order of the signature's inputs
    block: int | None = None  # offset in shared memory; None: the tensors are the frame's payload
    size: int = 0  # bytes of the block
    remaining: float | None = None  # seconds until the deadline; the clocks of the two ends have nothing in common
    outputs: tuple[str, ...] | None = None  # None: all
    priority: int = 0
    traceparent: str | None = None


class Reply(msgspec.Struct, array_like=True, gc=False):
    """The result of one inference: the outputs that were asked for, in the order of the signature."""

    shapes: list[Shape]
    block: int | None = None
    size: int = 0


class Failure(msgspec.Struct, array_like=True):
    """The error one inference ended with."""

    kind: str  # name of the class in core.errors
    code: str
    message: str
    details: dict[str, Any]
    log_context: dict[str, Any]
    retry_after: float | None


class Tensor(msgspec.Struct, array_like=True):
    """One tensor of a signature."""

    name: str
    datatype: str
    shape: Shape


class Offer(msgspec.Struct, array_like=True):
    """What a runner has loaded, and what its verifier found."""

    tenant: str
    model: str
    version: str
    digest: str
    key_id: str
    size: int
    covered: list[str]
    runner: str
    inputs: list[Tensor]
    outputs: list[Tensor]

    @property
    def signature(self) -> Signature:
        """The model's tensors."""
        return Signature(inputs=_specs(self.inputs), outputs=_specs(self.outputs))


encode: Final = msgspec.msgpack.Encoder(
    enc_hook=lambda value: value.item() if hasattr(value, "item") else str(value)
).encode
decode_request: Final = msgspec.msgpack.Decoder(Request).decode
decode_reply: Final = msgspec.msgpack.Decoder(Reply).decode
decode_failure: Final = msgspec.msgpack.Decoder(Failure).decode
decode_offer: Final = msgspec.msgpack.Decoder(Offer).decode
decode_statistics: Final = msgspec.msgpack.Decoder(ModelStatistics).decode


def offer_of(loaded: LoadedModel) -> Offer:
    """What a runner says of the model it has loaded."""
    signature = loaded.handle.signature
    return Offer(
        tenant=loaded.tenant,
        model=loaded.model,
        version=loaded.version,
        digest=loaded.digest,
        key_id=loaded.key_id,
        size=loaded.size,
        covered=sorted(loaded.covered),
        runner=loaded.handle.runner,
        inputs=[_tensor(spec) for spec in signature.inputs],
        outputs=[_tensor(spec) for spec in signature.outputs],
    )


def _tensor(spec: TensorSpec) -> Tensor:
    return Tensor(name=spec.name, datatype=spec.dtype.name, shape=spec.shape)


def _specs(tensors: list[Tensor]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name=t.name, dtype=DType[t.datatype], shape=t.shape) for t in tensors)
