# SPDX-License-Identifier: Apache-2.0
"""What a request must satisfy before it may join a queue: checked once, for every protocol."""

from __future__ import annotations

from core.errors import ErrorCode, TensorError
from core.inference import InferenceRequest
from core.tensors import Signature, check_against


def admit(request: InferenceRequest, signature: Signature, *, subject: str) -> None:
    """Checks names, datatypes, shapes and the batch dimension against the model's signature.

    Args:
        request: The decoded request.
        signature: The loaded model's tensors.
        subject: The model, for messages.

    Raises:
        TensorError: ``TENSOR_003`` on a missing input, ``TENSOR_004`` on an unknown input or output, ``TENSOR_002`` on
            another datatype, ``TENSOR_001`` on another shape, inputs with unequal or zero rows.
    """
    inputs, dtypes = request.inputs, request.dtypes
    for spec in signature.inputs:
        array = inputs.get(spec.name)
        if array is None:
            raise TensorError(
                ErrorCode.TENSOR_MISSING, f"Input {spec.name!r} of {subject} is missing.", details={"input": spec.name}
            )
        check_against(spec, array, dtypes[spec.name], subject=subject)
    if len(inputs) != len(signature.inputs):
        known = {spec.name for spec in signature.inputs}
        extra = next(name for name in inputs if name not in known)
        raise TensorError(
            ErrorCode.TENSOR_UNEXPECTED,
            f"{subject} has no input {extra[:80]!r}; it has {', '.join(sorted(known))}.",
            details={"input": extra[:80]},
        )
    if request.outputs is not None:
        _check_outputs(request.outputs, signature, subject)
    if signature.batched:
        _check_rows(request, signature, subject)


def _check_outputs(wanted: tuple[str, ...], signature: Signature, subject: str) -> None:
    known = [spec.name for spec in signature.outputs]
    for name in wanted:
        if name not in known:
            raise TensorError(
                ErrorCode.TENSOR_UNEXPECTED,
                f"{subject} has no output {name[:80]!r}; it has {', '.join(sorted(known))}.",
                details={"output": name[:80]},
            )


def _check_rows(request: InferenceRequest, signature: Signature, subject: str) -> None:
    first = request.inputs[signature.inputs[0].name].shape[0]
    if first == 0:
        raise TensorError(ErrorCode.TENSOR_SHAPE, f"The request to {subject} has no rows; expected at least one.")
    for spec in signature.inputs[1:]:
        rows = request.inputs[spec.name].shape[0]
        if rows != first:
            raise TensorError(
                ErrorCode.TENSOR_SHAPE,
                f"Input {spec.name!r} of {subject} has {rows} rows; input {signature.inputs[0].name!r} has {first}.",
            )
