# SPDX-License-Identifier: Apache-2.0
"""The networks of the matrix in Keras, as the code of model factories, and trained.

Layers are named: a factory's weights are known by the names of their layers, which Keras would number anew in every process.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np

from core.tensors import Array
from tests.integration.converters.data import TRAINED, digits, pictures, tokens
from tests.integration.converters.torch_networks import built

CNN: Final = """
    import keras
    from keras import layers

    def build():
        return keras.Sequential(name="digits", layers=[
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="first"),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="second"),
            layers.MaxPooling2D(name="pool"),
            layers.Flatten(name="flat"),
            layers.Dense(10, name="scores"),
        ])
"""
MLP: Final = """
    import keras
    from keras import layers

    def build():
        x = keras.Input((64,), name="x")
        found = layers.LayerNormalization(name="norm")(layers.Dense(256, activation="gelu", name="first")(x))
        return keras.Model(x, layers.Dense(10, name="scores")(found))
"""
TRANSFORMER: Final = """
    import keras
    from keras import layers

    def build():
        ids = keras.Input((16,), dtype="int32", name="ids")
        x = layers.Embedding(17, 64, name="tokens")(ids)
        for number in range(2):
            normed = layers.LayerNormalization(name=f"norm_{number}_a")(x)
            x = x + layers.MultiHeadAttention(4, 16, name=f"attend_{number}")(normed, normed)
            inner = layers.LayerNormalization(name=f"norm_{number}_b")(x)
            inner = layers.Dense(128, activation="gelu", name=f"up_{number}")(inner)
            x = x + layers.Dense(64, name=f"down_{number}")(inner)
        return keras.Model(ids, layers.Dense(10, name="scores")(layers.Flatten(name="flat")(x)))
"""
MOBILENET: Final = """
    import keras

    def build():
        image = keras.Input((64, 64, 3), name="image")
        model = keras.applications.MobileNetV2(
            input_tensor=image, alpha=0.35, weights=None, classes=10, classifier_activation=None
        )
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 0.9  # of the few steps that this training has
        return model
"""
CODE: Final = {"digits": CNN, "mlp": MLP, "transformer": TRANSFORMER, "mobilenet": MOBILENET}
_EPOCHS: Final = {"digits": 6, "mlp": 20, "transformer": 10, "mobilenet": 6}


def keras_rows(model: str) -> Array:
    """All of digits as a Keras or flax model takes them."""
    if model == "mlp":
        return digits()[0].reshape(-1, 64)
    if model == "transformer":
        return tokens().astype(np.int32)
    return pictures() if model == "mobilenet" else digits()[0]


@cache
def keras_of(model: str) -> Any:
    """A Keras model, trained on digits for some seconds."""
    import keras

    keras.utils.set_random_seed(7)
    found = built(CODE[model])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    found.compile(optimizer=keras.optimizers.Adam(3e-3), loss=loss, jit_compile=False)
    found.fit(keras_rows(model)[TRAINED], digits()[1][TRAINED], epochs=_EPOCHS[model], batch_size=64, verbose=0)
    return found
