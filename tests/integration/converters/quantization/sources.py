# SPDX-License-Identifier: Apache-2.0
"""fp32 models to quantize, made in seconds, with calibration data and held-out rows.

The digits ones are trained on scikit-learn's digits (rows 0 to 1,199); rows 1,200 to 1,499 calibrate, the rest is held out.
MobileNetV2 has random weights: synthetic, for sizes and speed.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from sklearn.datasets import load_digits

from core.tensors import Array

TRAINED: Final = slice(0, 1200)
CALIBRATED: Final = slice(1200, 1500)
HELD_OUT: Final = slice(1500, 1797)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A model on disk."""

    name: str
    format: str
    folder: Path  # of the model
    calibration: Path  # folder
    held_out: Path  # folder of calibration data that no recipe sees


def digits(*shape: int) -> tuple[Array, Array]:
    """Images in [0, 1] as rows of that shape, and their classes."""
    found = load_digits()
    return (found.images.astype(np.float32) / 16).reshape(-1, *shape), found.target.astype(np.int64)


def made(root: Path, name: str, model_format: str, *, rows: dict[str, Array]) -> Made:
    """Empty folders for a model, and its data: rows for calibration and held-out ones."""
    folders = {part: root / f"{name}_{model_format}_{part}" for part in ("model", "calibration", "held_out")}
    for folder in folders.values():
        folder.mkdir()
    for part, chosen in (("calibration", CALIBRATED), ("held_out", HELD_OUT)):
        arrays: dict[str, Any] = {key: array[chosen] for key, array in rows.items()}
        np.savez(folders[part] / "calibration.npz", **arrays)
    return Made(
        name=name,
        format=model_format,
        folder=folders["model"],
        calibration=folders["calibration"],
        held_out=folders["held_out"],
    )


def torch_onnx(root: Path, name: str) -> Made:
    """A trained PyTorch model of digits as ONNX: "cnn", "mlp" or "transformer"."""
    import torch

    torch.manual_seed(3)
    torch.set_num_threads(1)  # small matrices; two threads wait for each other
    images, labels = digits(*{"cnn": (1, 8, 8), "mlp": (64,), "transformer": (8, 8)}[name])
    module = {"cnn": _cnn, "mlp": _mlp, "transformer": _transformer}[name](torch)
    x, y = torch.from_numpy(images[TRAINED]), torch.from_numpy(labels[TRAINED])
    optimizer = torch.optim.Adam(module.parameters(), lr=3e-3)
    for _ in range(15):
        for part in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(x[part]), y[part]).backward()
            optimizer.step()
    found = made(root, name, "onnx", rows={"image": images, "labels": labels})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            (x[:2],),
            str(found.folder / "model.onnx"),
            input_names=["image"],
            output_names=["scores"],
            dynamic_axes={"image": {0: "batch"}, "scores": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
    return found


def keras_tflite(root: Path, name: str) -> Made:
    """A Keras model as TFLite: "cnn", "mlp" or "transformer" trained on digits, or "mobilenetv2" with random weights."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(3)
    if name == "mobilenetv2":
        model = keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, weights=None, classes=100)
        random = np.random.default_rng(0)
        model.set_weights([_moved(each, random) for each in model.get_weights()])
        pictures = random.uniform(-1, 1, (32, 96, 96, 3)).astype(np.float32)
        name_of_input = model.inputs[0].name
        found = made(root, name, "tflite", rows={name_of_input: pictures[np.arange(1797) % 32]})
    else:
        images, labels = digits(*{"cnn": (8, 8, 1), "mlp": (64,), "transformer": (8, 8)}[name])
        model = _keras(keras, name)
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(images[TRAINED], labels[TRAINED], epochs=15, batch_size=64, verbose=0)
        found = made(root, name, "tflite", rows={"image": images, "labels": labels})
    exported = found.folder.with_name(f"{name}_saved_model")
    model.export(str(exported), format="tf_saved_model", verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(exported))
    (found.folder / "model.tflite").write_bytes(converter.convert())
    return found


def _moved(weights: Array, random: np.random.Generator) -> Array:
    """Zero biases get values, or every picture would give the same scores."""
    return weights if weights.any() else random.normal(0, 0.1, weights.shape).astype(weights.dtype)


def _cnn(torch: Any) -> Any:
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, stride=2), nn.ReLU(), nn.Flatten(),
        nn.Linear(576, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def _mlp(torch: Any) -> Any:
    nn = torch.nn
    return nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))


def _transformer(torch: Any) -> Any:
    nn = torch.nn

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        """Attention over the eight rows of an image, then two dense layers."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.LayerNorm(64), nn.LayerNorm(64)
            self.query, self.key, self.value = (nn.Linear(64, 64) for _ in range(3))
            self.mix, self.up, self.down = nn.Linear(64, 64), nn.Linear(64, 128), nn.Linear(128, 64)

        def forward(self, x: Any) -> Any:
            h = self.first(x)
            q, k, v = (each(h).unflatten(-1, (4, 16)).transpose(1, 2) for each in (self.query, self.key, self.value))
            weights = (q @ k.transpose(-1, -2) / 4.0).softmax(-1)
            x = x + self.mix((weights @ v).transpose(1, 2).flatten(2))
            return x + self.down(torch.relu(self.up(self.second(x))))

    class Encoder(nn.Module):  # type: ignore[misc, name-defined]
        """Two blocks and a classifier of the mean."""

        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = nn.Linear(8, 64), nn.Linear(64, 10)
            self.place = nn.Parameter(torch.randn(8, 64) * 0.02)
            self.blocks = nn.Sequential(Block(), Block())

        def forward(self, image: Any) -> Any:
            return self.head(self.blocks(self.embed(image) + self.place).mean(1))

    return Encoder()


def _keras(keras: Any, name: str) -> Any:
    layers = keras.layers
    if name == "mlp":
        return keras.Sequential(
            [layers.Input((64,), name="image"), layers.Dense(256, "relu"), layers.Dense(128, "relu"), layers.Dense(10)]
        )
    if name == "cnn":
        return keras.Sequential(
            [
                layers.Input((8, 8, 1), name="image"),
                layers.Conv2D(32, 3, padding="same", activation="relu"),
                layers.Conv2D(64, 3, strides=2, activation="relu"),
                layers.Flatten(),
                layers.Dense(64, "relu"),
                layers.Dense(10),
            ]
        )
    image = layers.Input((8, 8), name="image")
    x = layers.Dense(64)(image)
    for _ in range(2):
        h = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(4, 16)(h, h)
        h = layers.Dense(128, "relu")(layers.LayerNormalization()(x))
        x = x + layers.Dense(64)(h)
    return keras.Model(image, layers.Dense(10)(layers.GlobalAveragePooling1D()(x)))
