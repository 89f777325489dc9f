# SPDX-License-Identifier: Apache-2.0
"""Which precision suits which kind of model, with the reason.

Where it comes from. Convolutions: earlier measurements of a trained MobileNetV2 (one thread, 1,000 held-out images):
static int8 3.5 times smaller and 2 times faster, dynamic int8 on all operations 9 times slower, 16-bit activations 28
times slower. Transformers: all-MiniLM-L6-v2 in docs/conversion-matrix.md: dynamic int8 as ONNX 3.9 times smaller, 2.3 times
faster, cosine .99; static int8 cosine .35. Small models of fractions of a millisecond gain size and no time there. Dense,
recurrent and other models: reasoning, not measurement.

Advice is where to start. What a model loses is measured by :mod:`converters.parity`, not assumed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from converters.interface import main_file
from converters.quantization.catalogue import CALIBRATED


class ModelKind(StrEnum):
    """What dominates a model's work."""

    CONVOLUTIONAL = "convolutional"
    TRANSFORMER = "transformer"
    DENSE = "dense"
    RECURRENT = "recurrent"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What to make of a model.

    Attributes:
        kind: What it was taken for.
        precision: The one to start with.
        sensible: All worth a try, the likeliest first; what ``--auto`` tries.
        reason: Why, in one or two sentences.
    """

    kind: ModelKind
    precision: str
    sensible: tuple[str, ...]
    reason: str


_CONVOLUTIONS: Final = frozenset({"Conv", "ConvTranspose", "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "CONV_3D"})
_SOFTMAX: Final = frozenset({"Softmax", "SOFTMAX", "Attention", "MultiHeadAttention"})
_NORMS: Final = frozenset({"LayerNormalization", "SkipLayerNormalization", "RSQRT", "Sqrt", "RsqrtOp"})
_PRODUCTS: Final = frozenset({"MatMul", "Gemm", "BATCH_MATMUL", "FULLY_CONNECTED", "FusedMatMul"})
_RECURRENT: Final = frozenset({"LSTM", "GRU", "RNN", "UNIDIRECTIONAL_SEQUENCE_LSTM", "WHILE", "Loop", "Scan"})

_BEST: Final[Mapping[ModelKind, tuple[tuple[str, ...], str]]] = {
    ModelKind.CONVOLUTIONAL: (
        ("int8", "fp16"),
        "Convolutions gain from static int8: ranges are fixed beforehand, whereas dynamic int8 finds them at every layer "
        "of every execution and is slower than float.",
    ),
    ModelKind.TRANSFORMER: (
        ("int8dyn", "fp16"),
        "Transformers keep their accuracy with dynamic int8: ranges follow the outliers of each input, and large matrix "
        "products gain from int8.",
    ),
    ModelKind.DENSE: (
        ("int8dyn", "int8", "fp16"),
        "A network of dense layers is all weights: dynamic int8 makes it four times smaller and needs no calibration data.",
    ),
    ModelKind.RECURRENT: (
        ("int8dyn", "fp16"),
        "Recurrent layers reuse their activations at every step, where the errors of static ranges add up.",
    ),
    ModelKind.OTHER: (
        ("fp16",),
        "It has neither convolutions nor matrix products of note, so that int8 would change little.",
    ),
}


def advise(kind: ModelKind, model_format: str, *, calibrated: bool) -> Advice:
    """What to start with and what to try.

    Args:
        kind: Of :func:`kind_of`.
        model_format: Of the result, "onnx" or "tflite".
        calibrated: Whether there is calibration data; without it nothing with static ranges can be made.
    """
    order, reason = _BEST[kind]
    possible = tuple(each for each in order if calibrated or each not in CALIBRATED)
    if possible[0] != order[0]:
        reason += f" Without calibration data {order[0]} cannot be made: the next best is {possible[0]}."
    sensible = possible
    if model_format == "tflite" and "int8dyn" not in possible and not calibrated and kind is ModelKind.CONVOLUTIONAL:
        sensible = (*possible, "int8dyn")
        reason += " Dynamic range int8 is worth a try for its size alone."
    return Advice(kind=kind, precision=possible[0], sensible=sensible, reason=reason)


def kind_of(folder: Path, model_format: str) -> ModelKind:
    """What kind of model a folder holds, by the operations of its graph; OTHER for formats that do not tell.

    Raises:
        ModelError: ``MODEL_003`` if there is not exactly one model file.
    """
    if model_format == "onnx":
        return classify(_onnx_operations(folder))
    if model_format == "tflite":
        return classify(_tflite_operations(folder))
    return ModelKind.OTHER


def classify(operations: Mapping[str, int]) -> ModelKind:
    """The kind of a graph with so many operations of each type.

    A transformer multiplies matrices, normalizes and has a softmax within; a softmax at the end of a classifier is one
    softmax without as many products.
    """
    count = {
        what: sum(operations.get(name, 0) for name in names)
        for what, names in (
            ("conv", _CONVOLUTIONS),
            ("softmax", _SOFTMAX),
            ("norm", _NORMS),
            ("product", _PRODUCTS),
            ("recurrent", _RECURRENT),
        )
    }
    if count["conv"] and count["conv"] >= count["product"] / 4:
        return ModelKind.CONVOLUTIONAL
    if count["softmax"] and count["norm"] and count["product"] >= 4:
        return ModelKind.TRANSFORMER
    if count["recurrent"]:
        return ModelKind.RECURRENT
    return ModelKind.DENSE if count["product"] else ModelKind.OTHER


def _onnx_operations(folder: Path) -> Counter[str]:
    import onnx

    graph = onnx.load(main_file(folder, (".onnx",), step="advice"), load_external_data=False).graph
    return Counter(node.op_type for node in graph.node)


def _tflite_operations(folder: Path) -> Counter[str]:
    from ai_edge_litert.interpreter import Interpreter

    path = main_file(folder, (".tflite",), step="advice")
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    return Counter(each["op_name"] for each in interpreter._get_ops_details())
