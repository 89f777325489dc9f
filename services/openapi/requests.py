# SPDX-License-Identifier: Apache-2.0
"""The shapes of request bodies, more exactly than decoders need them. Tests hold their fields to those of the decoders."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta

from core.tensors import DType
from services.edge.schedule import LEAST_URGENT

DATATYPES: Final = [dtype.oip for dtype in DType]

Datatype: TypeAlias = Annotated[str, Meta(extra_json_schema={"enum": DATATYPES})]
Shape: TypeAlias = list[Annotated[int, Meta(ge=0)]]
Nested: TypeAlias = Annotated[
    Any,
    Meta(
        description="Row-major elements: nested as deep as the tensor has dimensions, or flat; a bare element without any.",
        extra_json_schema={"type": ["array", "number", "string", "boolean"]},
    ),
]
Data: TypeAlias = Annotated[
    list[Any],
    Meta(description="Row-major elements, nested like the shape or flat. FP16 and BF16 travel in binary form only."),
]
Version: TypeAlias = str | Annotated[int, Meta(ge=1, le=2**63 - 1)]
Milliseconds: TypeAlias = Annotated[float, Meta(gt=0, description="How long the caller waits.")]
Priority: TypeAlias = Annotated[
    int, Meta(ge=0, le=LEAST_URGENT, description="1 is the highest; 0: the default, in the middle.")
]


class MemoryPlace(msgspec.Struct, omit_defaults=True):
    """Where a tensor lies in shared memory; see the system shared memory extension."""

    shared_memory_region: str | msgspec.UnsetType = msgspec.UNSET
    shared_memory_byte_size: Annotated[int, Meta(ge=0)] | msgspec.UnsetType = msgspec.UNSET
    shared_memory_offset: Annotated[int, Meta(ge=0)] | msgspec.UnsetType = msgspec.UNSET


class InputParameters(MemoryPlace, omit_defaults=True):
    """What is said of an input."""

    binary_data_size: (
        Annotated[int, Meta(ge=0, description="Bytes of it behind the JSON part.")] | msgspec.UnsetType
    ) = msgspec.UNSET


class OutputParameters(MemoryPlace, omit_defaults=True):
    """What is said of an output."""

    binary_data: Annotated[bool, Meta(description="Whether it is sent in binary form.")] | msgspec.UnsetType = (
        msgspec.UNSET
    )


class InferParameters(msgspec.Struct, omit_defaults=True):
    """What is said of a request. Others are ignored; those of sequences are refused."""

    binary_data_output: Annotated[bool, Meta(description="Whether outputs are sent in binary form.")] = False
    timeout: Annotated[int, Meta(ge=0, le=2**63 - 1, description="Microseconds the caller waits; 0: no bound.")] = 0
    priority: Priority = 0


class InferInput(msgspec.Struct):
    """An input: its data is in exactly one of ``data``, the bytes behind the JSON part, and shared memory."""

    name: str
    datatype: Datatype
    shape: Shape
    parameters: InputParameters | None = None
    data: Data | msgspec.UnsetType = msgspec.UNSET


class InferOutput(msgspec.Struct):
    """An output that is asked for."""

    name: str
    parameters: OutputParameters | None = None


class InferRequest(msgspec.Struct):
    """An inference of the Open Inference Protocol."""

    inputs: list[InferInput]
    id: Annotated[str, Meta(description="Echoed if not empty.")] = ""
    parameters: InferParameters | None = None
    outputs: Annotated[list[InferOutput] | None, Meta(description="Missing or empty: every output.")] = None


class ShortRequest(msgspec.Struct, forbid_unknown_fields=True):
    """An inference in the short form: datatypes are the model's."""

    model: str
    inputs: dict[str, Nested]
    version: Version | None = None
    outputs: Annotated[list[str] | None, Meta(description="Missing or empty: every output.")] = None
    timeout_ms: Milliseconds | None = None
    priority: Priority = 0


class PackedTensor(msgspec.Struct, forbid_unknown_fields=True):
    """A tensor in binary form: little-endian, row-major, BYTES as u32 length and bytes per element."""

    shape: Shape
    datatype: Datatype
    data: Annotated[str, Meta(extra_json_schema={"format": "binary"})]  # a bin, which JSON Schema does not know


Packed: TypeAlias = Annotated[
    Any,
    Meta(
        description="Nested lists as in JSON, or a tensor in binary form.",
        extra_json_schema={
            "anyOf": [
                {"type": ["array", "number", "string", "boolean"]},
                {"$ref": "#/components/schemas/PackedTensor"},
            ]
        },
    ),
]


class PackedRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The short form in MessagePack: tensors as nested lists or in binary form."""

    model: str
    inputs: dict[str, Packed]
    version: Version | None = None
    outputs: list[str] | None = None
    timeout_ms: Milliseconds | None = None
    priority: Priority = 0


class RepositoryIndex(msgspec.Struct):
    """What the index is asked for."""

    ready: Annotated[bool, Meta(description="Leave out what is not ready.")] = False


class RepositoryChange(msgspec.Struct):
    """A load or an unload; files and configurations cannot be replaced."""

    parameters: dict[str, Any] = {}


class MemoryRegion(msgspec.Struct):
    """A region of shared memory."""

    key: Annotated[str, Meta(description="Name of the POSIX shared memory object.")]
    byte_size: Annotated[int, Meta(ge=1)]
    offset: Annotated[int, Meta(ge=0)] = 0
