# SPDX-License-Identifier: Apache-2.0
"""Source models of every format, small, made once per session. The digits ones are trained; the others are synthetic."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from safetensors.numpy import save
from sklearn.datasets import load_digits

from converters.testing import Source, read_folder
from core.tensors import Array, DType, Signature, TensorSpec

PLACES: Final = ("digits", "mlp", "transformer", "mobilenet")


def spec(name: str, *shape: int, dtype: DType = DType.FP32) -> TensorSpec:
    """A tensor of a signature."""
    return TensorSpec(name=name, dtype=dtype, shape=shape)


def signature(given: TensorSpec, *outputs: TensorSpec) -> Signature:
    """One input, some outputs."""
    return Signature(inputs=(given,), outputs=outputs)


def factory(framework: str, code: str, weights: dict[str, Array], given: TensorSpec, *outputs: TensorSpec) -> Source:
    """A factory bundle."""
    description = {
        "framework": framework,
        "inputs": [{"name": given.name, "datatype": given.dtype.oip, "shape": list(given.shape)}],
        "outputs": [output.name for output in outputs],
    }
    files = {
        "factory.json": json.dumps(description).encode(),
        "factory.py": textwrap.dedent(code).encode(),
        "weights.safetensors": save({name: np.ascontiguousarray(array) for name, array in weights.items()}),
    }
    return Source(format="factory", files=files, signature=signature(given, *outputs))


def digits() -> tuple[Array, Array]:
    """Images [1797, 8, 8, 1] from 0 to 1 and classes [1797]."""
    found = load_digits()
    return found.images[..., None].astype(np.float32) / 16, found.target.astype(np.int64)


TORCH_CNN: Final = """
    import torch

    class Cnn(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.Conv2d(1, 16, 3, padding=1)
            self.second = torch.nn.Conv2d(16, 32, 3, padding=1)
            self.head = torch.nn.Linear(32 * 4 * 4, 10)

        def forward(self, image):
            found = torch.relu(self.first(image))
            found = torch.max_pool2d(torch.relu(self.second(found)), 2)
            return self.head(found.flatten(1))

    def build():
        return Cnn()
"""
TORCH_MLP: Final = """
    import torch

    def build():
        return torch.nn.Sequential(
            torch.nn.Linear(64, 128), torch.nn.GELU(), torch.nn.LayerNorm(128), torch.nn.Linear(128, 10)
        )
"""
TORCH_TRANSFORMER: Final = """
    import torch

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Embedding(100, 32)
            self.norms = torch.nn.ModuleList(torch.nn.LayerNorm(32) for _ in range(4))
            self.qkv = torch.nn.ModuleList(torch.nn.Linear(32, 96) for _ in range(2))
            self.out = torch.nn.ModuleList(torch.nn.Linear(32, 32) for _ in range(2))
            self.up = torch.nn.ModuleList(torch.nn.Linear(32, 64) for _ in range(2))
            self.down = torch.nn.ModuleList(torch.nn.Linear(64, 32) for _ in range(2))

        def forward(self, ids):
            found = self.embed(ids)
            for index in range(2):
                normed = self.norms[2 * index](found)
                q, k, v = (part.unflatten(-1, (4, 8)).transpose(1, 2) for part in self.qkv[index](normed).chunk(3, -1))
                scores = (q @ k.transpose(-1, -2)) / 8**0.5
                mixed = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
                found = found + self.out[index](mixed)
                normed = self.norms[2 * index + 1](found)
                found = found + self.down[index](torch.nn.functional.gelu(self.up[index](normed)))
            return found.mean(1)

    def build():
        return Encoder()
"""
FLAX_MLP: Final = """
    import flax.linen as nn

    class Mlp(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.LayerNorm()(nn.gelu(nn.Dense(128)(x), approximate=False))
            return nn.Dense(10)(x)

    def build():
        return Mlp()
"""
SKLEARN: Final = """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def build():
        return make_pipeline(StandardScaler(), LogisticRegression())
"""


def built(code: str) -> Any:
    """What a factory's code builds, with the weights it starts with."""
    names: dict[str, Any] = {}
    exec(textwrap.dedent(code), names)
    return names["build"]()


@cache
def torch_module(model: str) -> Any:
    """A torch module; that of digits is trained for a few seconds."""
    import torch

    torch.manual_seed(7)
    torch.set_num_threads(2)
    module = built({"digits": TORCH_CNN, "mlp": TORCH_MLP, "transformer": TORCH_TRANSFORMER}[model])
    if model == "digits":
        images, classes = digits()
        x, y = torch.from_numpy(images.transpose(0, 3, 1, 2)[:1300].copy()), torch.from_numpy(classes[:1300])
        optimizer = torch.optim.Adam(module.parameters(), lr=3e-3)
        for _ in range(60):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(x), y).backward()
            optimizer.step()
    return module.eval()


TORCH_SPECS: Final = {
    "digits": (spec("image", -1, 1, 8, 8), spec("scores", -1, 10)),
    "mlp": (spec("x", -1, 64), spec("scores", -1, 10)),
    "transformer": (spec("ids", -1, 16, dtype=DType.INT64), spec("embedding", -1, 32)),
}


def torch_factory(model: str) -> Source:
    """A factory of framework torch."""
    code = {"digits": TORCH_CNN, "mlp": TORCH_MLP, "transformer": TORCH_TRANSFORMER}[model]
    weights = {name: tensor.numpy() for name, tensor in torch_module(model).state_dict().items()}
    return factory("torch", code, weights, *TORCH_SPECS[model])


def torch_example(model: str) -> Any:
    """Two rows of input."""
    import torch

    given = TORCH_SPECS[model][0]
    shape = (2, *given.shape[1:])
    return torch.ones(shape, dtype=torch.int64) if given.dtype is DType.INT64 else torch.randn(shape)


def torch_export(model: str) -> Source:
    """A ``.pt2`` program."""
    import torch

    module, (given, output) = torch_module(model), TORCH_SPECS[model]
    program = torch.export.export(
        module, (torch_example(model),), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},)
    )
    with TemporaryDirectory() as folder:
        torch.export.save(program, Path(folder) / "model.pt2")
        return Source(format="torch_export", files=read_folder(Path(folder)), signature=signature(given, output))


def torchscript(model: str) -> Source:
    """A TorchScript file."""
    import torch

    with TemporaryDirectory() as folder:
        torch.jit.trace(torch_module(model), torch_example(model)).save(str(Path(folder) / "model.pt"))
        return Source(format="torchscript", files=read_folder(Path(folder)), signature=signature(*TORCH_SPECS[model]))


@cache
def keras_of(model: str) -> Any:
    """A Keras model; that of digits is trained for a few seconds."""
    import keras

    keras.utils.set_random_seed(7)
    layers = keras.layers
    if model == "digits":
        built_model = keras.Sequential(
            [
                keras.Input((8, 8, 1), name="image"),
                layers.Conv2D(16, 3, padding="same", activation="relu", name="first"),
                layers.Conv2D(32, 3, padding="same", activation="relu", name="second"),
                layers.MaxPooling2D(name="pool"),
                layers.Flatten(name="flat"),
                layers.Dense(10, name="scores"),
            ]
        )
        images, classes = digits()
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        built_model.compile(optimizer=keras.optimizers.Adam(3e-3), loss=loss)
        built_model.fit(images[:1300], classes[:1300], epochs=6, batch_size=64, verbose=0)
        return built_model
    if model == "transformer":
        ids = keras.Input((16,), dtype="int32", name="ids")
        found = layers.Embedding(100, 32, name="tokens")(ids)
        for _ in range(2):
            normed = layers.LayerNormalization()(found)
            found = layers.Add()([found, layers.MultiHeadAttention(4, 8)(normed, normed)])
            normed = layers.LayerNormalization()(found)
            found = layers.Add()([found, layers.Dense(32)(layers.Dense(64, activation="gelu")(normed))])
        return keras.Model(ids, layers.GlobalAveragePooling1D(name="embedding")(found))
    network = keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, weights=None, classes=10, name="mobilenet")
    image = keras.Input((96, 96, 3), name="image")
    return keras.Model(image, layers.Activation("linear", name="scores")(network(image)))


KERAS_SPECS: Final = {
    "digits": (spec("image", -1, 8, 8, 1), spec("scores", -1, 10)),
    "transformer": (spec("ids", -1, 16, dtype=DType.INT32), spec("embedding", -1, 32)),
    "mobilenet": (spec("image", -1, 96, 96, 3), spec("scores", -1, 10)),
}


def keras_archive(model: str) -> Source:
    """A ``.keras`` archive."""
    with TemporaryDirectory() as folder:
        keras_of(model).save(Path(folder) / "model.keras")
        return Source(format="keras", files=read_folder(Path(folder)), signature=signature(*KERAS_SPECS[model]))


def saved_model(model: str) -> Source:
    """A SavedModel folder."""
    from converters.recipes.saved_model import write_keras

    with TemporaryDirectory() as folder:
        write_keras(keras_of(model), Path(folder))
        return Source(format="saved_model", files=read_folder(Path(folder)), signature=signature(*KERAS_SPECS[model]))


def keras_factory(_model: str) -> Source:
    """A factory of framework keras."""
    code = """
        import keras

        def build():
            image = keras.Input((64,), name="x")
            found = keras.layers.Dense(128, activation="gelu", name="first")(image)
            return keras.Model(image, keras.layers.Dense(10, name="scores")(found))
    """
    weights = {each.path: np.asarray(each.value) for each in built(code).weights}
    return factory("keras", code, weights, spec("x", -1, 64), spec("scores", -1, 10))


def flax_factory(_model: str) -> Source:
    """A factory of framework flax."""
    import jax

    variables = built(FLAX_MLP).init(jax.random.key(7), jax.numpy.zeros((1, 64)))
    flat = jax.tree_util.tree_flatten_with_path(variables)[0]
    weights = {".".join(str(key.key) for key in path): np.asarray(value) for path, value in flat}
    return factory("flax", FLAX_MLP, weights, spec("x", -1, 64), spec("scores", -1, 10))


def jax_export(_model: str) -> Source:
    """A ``jax.export`` file."""
    import jax
    from jax import export

    module = built(FLAX_MLP)
    variables = module.init(jax.random.key(7), jax.numpy.zeros((1, 64)))
    batch = export.symbolic_shape("b, 64")
    made = export.export(jax.jit(lambda x: module.apply(variables, x)))(jax.ShapeDtypeStruct(batch, np.float32))
    return Source(
        format="jax_export",
        files={"model.jax_export": bytes(made.serialize())},
        signature=signature(spec("input_0", -1, 64), spec("output_0", -1, 10)),
    )


def sklearn_factory(_model: str) -> Source:
    """A factory of framework sklearn: digits, trained."""
    images, classes = digits()
    pipeline = built(SKLEARN).fit(images.reshape(len(images), 64)[:1300], classes[:1300])
    scaler, regression = pipeline.steps[0][1], pipeline.steps[1][1]
    weights = {f"steps.0.1.{name}": np.asarray(getattr(scaler, name)) for name in ("mean_", "scale_", "var_")}
    weights |= {
        f"steps.1.1.{name}": np.asarray(getattr(regression, name)) for name in ("coef_", "intercept_", "classes_")
    }
    outputs = (spec("label", -1, dtype=DType.INT64), spec("probabilities", -1, 10))
    return factory("sklearn", SKLEARN, weights, spec("x", -1, 64), *outputs)


def onnx_file(model: str) -> Source:
    """An ONNX file, traced from the torch module."""
    import torch

    given, output = TORCH_SPECS[model]
    with TemporaryDirectory() as folder:
        torch.onnx.export(
            torch_module(model),
            (torch_example(model),),
            str(Path(folder) / "model.onnx"),
            dynamo=False,
            input_names=[given.name],
            output_names=[output.name],
            dynamic_axes={given.name: {0: "batch"}, output.name: {0: "batch"}},
        )
        return Source(format="onnx", files=read_folder(Path(folder)), signature=signature(given, output))


SOURCES: Final[dict[str, Callable[[str], Source]]] = {
    "torch_export": torch_export,
    "torchscript": torchscript,
    "factory(torch)": torch_factory,
    "keras": keras_archive,
    "saved_model": saved_model,
    "factory(keras)": keras_factory,
    "jax_export": jax_export,
    "factory(flax)": flax_factory,
    "factory(sklearn)": sklearn_factory,
    "onnx": onnx_file,
}
