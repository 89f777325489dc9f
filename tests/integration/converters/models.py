# SPDX-License-Identifier: Apache-2.0
"""Source models of every format, as bundles to convert. Each is made from a network that was trained, or published, once."""

from __future__ import annotations

import json
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from safetensors.numpy import save

from converters.testing import Source, read_folder
from core.tensors import Array, DType, Signature, TensorSpec
from tests.integration.converters import flax_networks, keras_networks, torch_networks
from tests.integration.converters.data import BLOCKS, PIXELS, TOKENS, TRAINED, digits
from tests.integration.converters.keras_networks import keras_of, keras_rows
from tests.integration.converters.torch_networks import built, torch_module, torch_rows

__all__ = [
    "KERAS",
    "MODELS",
    "SOURCES",
    "TORCH",
    "any_length",
    "digits",
    "keras_archive",
    "keras_of",
    "rows",
    "sklearn_factory",
    "torch_export",
    "torch_module",
]

MODELS: Final = {
    "digits": "CNN of digits",
    "mlp": "MLP",
    "transformer": "transformer encoder",
    "mobilenet": "MobileNetV2 0.35",
    "minilm": "all-MiniLM-L6-v2",
}
"""Models by their short names."""


def spec(name: str, *shape: int, dtype: DType = DType.FP32) -> TensorSpec:
    """A tensor of a signature."""
    return TensorSpec(name=name, dtype=dtype, shape=shape)


SCORES: Final = spec("scores", -1, 10)
TORCH: Final = {
    "digits": Signature(inputs=(spec("image", -1, 1, 8, 8),), outputs=(SCORES,)),
    "mlp": Signature(inputs=(spec("x", -1, 64),), outputs=(SCORES,)),
    "transformer": Signature(inputs=(spec("ids", -1, BLOCKS, dtype=DType.INT64),), outputs=(SCORES,)),
    "mobilenet": Signature(inputs=(spec("image", -1, 3, PIXELS, PIXELS),), outputs=(SCORES,)),
    "minilm": Signature(
        inputs=tuple(spec(name, -1, TOKENS, dtype=DType.INT64) for name in ("input_ids", "attention_mask")),
        outputs=(spec("sentence_embedding", -1, 384),),
    ),
}
KERAS: Final = {
    "digits": Signature(inputs=(spec("image", -1, 8, 8, 1),), outputs=(SCORES,)),
    "mlp": TORCH["mlp"],
    "transformer": Signature(inputs=(spec("ids", -1, BLOCKS, dtype=DType.INT32),), outputs=(SCORES,)),
    "mobilenet": Signature(inputs=(spec("image", -1, PIXELS, PIXELS, 3),), outputs=(spec("predictions", -1, 10),)),
}
VOCABULARY: Final = {"parity.vocabulary": json.dumps({"input_ids": 30522})}


def factory(framework: str, code: str, weights: dict[str, Array], signature: Signature) -> Source:
    """A factory bundle."""
    description = {
        "framework": framework,
        "inputs": [
            {"name": each.name, "datatype": each.dtype.oip, "shape": list(each.shape)} for each in signature.inputs
        ],
        "outputs": [each.name for each in signature.outputs],
    }
    files = {
        "factory.json": json.dumps(description).encode(),
        "factory.py": textwrap.dedent(code).encode(),
        "weights.safetensors": save({name: np.ascontiguousarray(array) for name, array in weights.items()}),
    }
    return Source(format="factory", files=files, signature=signature, metadata=_metadata(signature))


def torch_factory(model: str) -> Source:
    """A factory of framework torch."""
    weights = {name: tensor.numpy() for name, tensor in torch_module(model).state_dict().items()}
    return factory("torch", torch_networks.CODE[model], weights, TORCH[model])


def examples(model: str) -> tuple[Any, ...]:
    """Two rows of each input of a torch module."""
    import torch

    return tuple(
        torch.ones((2, *each.shape[1:]), dtype=torch.int64)
        if each.dtype is DType.INT64
        else torch.randn((2, *each.shape[1:]))
        for each in TORCH[model].inputs
    )


def torch_export(model: str) -> Source:
    """A ``.pt2`` program."""
    return _exported(model, TORCH[model], {0: "batch"})


def any_length(model: str) -> Source:
    """A ``.pt2`` program of MiniLM that takes sentences of any length."""
    free = tuple(spec(each.name, -1, -1, dtype=each.dtype) for each in TORCH[model].inputs)
    return _exported(model, Signature(inputs=free, outputs=TORCH[model].outputs), {0: "batch", 1: "tokens"})


def _exported(model: str, signature: Signature, free: dict[int, str]) -> Source:
    import torch

    sizes = {axis: torch.export.Dim(name, min=1, max=512) for axis, name in free.items()}
    program = torch.export.export(
        torch_module(model), examples(model), dynamic_shapes=tuple(sizes for _ in signature.inputs)
    )
    with TemporaryDirectory() as folder:
        torch.export.save(program, Path(folder) / "model.pt2")
        return _source("torch_export", Path(folder), signature)


def torchscript(model: str) -> Source:
    """A TorchScript file."""
    import torch

    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(torch_module(model), examples(model)).save(str(Path(folder) / "model.pt"))
        return _source("torchscript", Path(folder), TORCH[model])


def onnx_file(model: str) -> Source:
    """An ONNX file, traced from the torch module."""
    import torch

    signature = TORCH[model]
    names = [each.name for each in signature.inputs], [each.name for each in signature.outputs]
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            torch_module(model),
            examples(model),
            str(Path(folder) / "model.onnx"),
            dynamo=False,
            opset_version=17,
            input_names=names[0],
            output_names=names[1],
            dynamic_axes={name: {0: "batch"} for name in (*names[0], *names[1])},
        )
        return _source("onnx", Path(folder), signature)


def keras_archive(model: str) -> Source:
    """A ``.keras`` archive."""
    with TemporaryDirectory() as folder:
        keras_of(model).save(Path(folder) / "model.keras")
        return _source("keras", Path(folder), KERAS[model])


def saved_model(model: str) -> Source:
    """A SavedModel folder."""
    from converters.recipes.saved_model import write_keras

    with TemporaryDirectory() as folder:
        write_keras(keras_of(model), Path(folder))
        return _source("saved_model", Path(folder), KERAS[model])


def keras_factory(model: str) -> Source:
    """A factory of framework keras."""
    weights = {each.path: np.asarray(each.value) for each in keras_of(model).weights}
    return factory("keras", keras_networks.CODE[model], weights, KERAS[model])


def flax_factory(model: str) -> Source:
    """A factory of framework flax."""
    return factory("flax", flax_networks.CODE[model], flax_networks.flax_weights(model), _flax_signature(model))


def jax_export(model: str) -> Source:
    """A ``jax.export`` file, which does not name its tensors."""
    import jax
    from flax.traverse_util import unflatten_dict
    from jax import export

    from converters.sources.flax import symbolic

    module, flat = built(flax_networks.CODE[model]), flax_networks.flax_weights(model)
    variables = unflatten_dict(flat, sep=".")
    (given,) = _flax_signature(model).inputs
    made = export.export(jax.jit(lambda x: module.apply(variables, x)))(*symbolic((given,)))
    signature = Signature(
        inputs=(spec("input_0", *given.shape, dtype=given.dtype),), outputs=(spec("output_0", -1, 10),)
    )
    return Source(format="jax_export", files={"model.jax_export": bytes(made.serialize())}, signature=signature)


def _flax_signature(model: str) -> Signature:
    return Signature(inputs=KERAS[model].inputs, outputs=(SCORES,))


LOGISTIC: Final = """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def build():
        return make_pipeline(StandardScaler(), LogisticRegression())
"""
PERCEPTRON: Final = """
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import LabelBinarizer

    def build():
        network = MLPClassifier((256,), random_state=7)
        network.n_features_in_, network.n_layers_, network.n_outputs_, network.out_activation_ = 64, 3, 10, "softmax"
        network._label_binarizer = LabelBinarizer().fit(range(10))
        return network
"""


def sklearn_factory(model: str) -> Source:
    """A factory of framework sklearn, trained on digits: "mlp", or "logistic", a logistic regression."""
    found = built(LOGISTIC if model == "logistic" else PERCEPTRON)
    found.fit(digits()[0].reshape(-1, 64)[TRAINED], digits()[1][TRAINED])
    if model == "logistic":
        (_, scaler), (_, regression) = found.steps
        weights = {f"steps.0.1.{name}": getattr(scaler, name) for name in ("mean_", "scale_", "var_")}
        weights |= {f"steps.1.1.{name}": getattr(regression, name) for name in ("coef_", "intercept_", "classes_")}
    else:
        weights = {
            f"{name}.{layer}": array
            for name in ("coefs_", "intercepts_")
            for layer, array in enumerate(getattr(found, name))
        }
        weights["classes_"] = found.classes_
    outputs = (spec("label", -1, dtype=DType.INT64), spec("probabilities", -1, 10))
    code = LOGISTIC if model == "logistic" else PERCEPTRON
    return factory("sklearn", code, weights, Signature(inputs=(spec("x", -1, 64),), outputs=outputs))


def rows(source: Source, model: str) -> dict[str, Array]:
    """All of digits under the name of the source's input and as it takes them; nothing for MiniLM."""
    assert source.signature is not None
    if model == "minilm":
        return {}
    (given,) = source.signature.inputs
    for made in (torch_rows, keras_rows):
        found = made("mlp" if model == "logistic" else model)
        if found.shape[1:] == given.shape[1:]:
            return {given.name: found.astype(given.dtype.numpy)}
    raise AssertionError(given)


def _source(form: str, folder: Path, signature: Signature) -> Source:
    return Source(format=form, files=read_folder(folder), signature=signature, metadata=_metadata(signature))


def _metadata(signature: Signature) -> dict[str, str]:
    return VOCABULARY if signature.inputs[0].name == "input_ids" else {}


SOURCES: Final[dict[str, Callable[[str], Source]]] = {
    "torch_export": torch_export,
    "torchscript": torchscript,
    "factory(torch)": torch_factory,
    "onnx": onnx_file,
    "keras": keras_archive,
    "saved_model": saved_model,
    "factory(keras)": keras_factory,
    "jax_export": jax_export,
    "factory(flax)": flax_factory,
    "factory(sklearn)": sklearn_factory,
}
