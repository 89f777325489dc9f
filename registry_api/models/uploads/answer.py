# SPDX-License-Identifier: Apache-2.0
"""Reads what the inspecting child printed. The child read a hostile file, so its answer is not trusted either."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from core.errors import ErrorCode, ModelError, TensorError
from core.tensors import ANY, Signature, TensorSpec, dtype_from_oip
from registry_api.models.uploads.child import ChildResult

REFUSED: Final = 3  # exit status of a child whose runtime refuses the file

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
_Size = Annotated[int, msgspec.Meta(ge=ANY, lt=1 << 53)]


class _Tensor(msgspec.Struct, frozen=True, kw_only=True):
    name: _Text
    datatype: str
    shape: Annotated[tuple[_Size, ...], msgspec.Meta(max_length=32)]


class _Description(msgspec.Struct, frozen=True, kw_only=True):
    inputs: Annotated[tuple[_Tensor, ...], msgspec.Meta(min_length=1, max_length=1024)]
    outputs: Annotated[tuple[_Tensor, ...], msgspec.Meta(min_length=1, max_length=1024)]
    precision: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]{1,16}$")]


class _Fault(msgspec.Struct, frozen=True, kw_only=True):
    message: str


class _Refusal(msgspec.Struct, frozen=True, kw_only=True):
    error: _Fault


def read_answer(path: str, result: ChildResult) -> tuple[Signature, str]:
    """The signature and the precision that the child reports.

    Args:
        path: The model file as the caller named it, for the message.
        result: How the child ended.

    Raises:
        ModelError: ``MODEL_003`` if the runtime refuses the file, or describes something no caller could use.
        RuntimeError: If the child itself failed; that is our fault, not the model's.
    """
    try:
        if result.status == REFUSED:
            reason = msgspec.json.decode(result.answer, type=_Refusal).error.message
            raise _invalid(path, reason)
        if result.status != 0:
            raise RuntimeError(f"model inspection ended with status {result.status}: {result.stderr[-2000:]}")
        found = msgspec.json.decode(result.answer, type=_Description)
        return Signature(inputs=_specs(found.inputs), outputs=_specs(found.outputs)), found.precision
    except (msgspec.DecodeError, TensorError) as error:
        raise _invalid(path, f"its inputs or outputs cannot be described ({error})") from None


def _specs(tensors: tuple[_Tensor, ...]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name=t.name, dtype=dtype_from_oip(t.datatype), shape=t.shape) for t in tensors)


def _invalid(path: str, reason: str) -> ModelError:
    shown = "".join(char if char.isprintable() else " " for char in reason[:2000]).strip().rstrip(".")
    return ModelError(ErrorCode.MODEL_INVALID, f"File {path!r} cannot be used: {shown}.", details={"path": path})
