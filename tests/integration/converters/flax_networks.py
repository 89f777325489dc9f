# SPDX-License-Identifier: Apache-2.0
"""The networks of the matrix in flax, with the weights that PyTorch's were trained to.

Both number their layers in the order of the calls: the third ``Conv2d`` of a module is ``Conv_2`` here. Kernels have their
axes turned; everything else is the same array.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import numpy as np

from core.tensors import Array
from tests.integration.converters.torch_networks import torch_module

CNN: Final = """
    import flax.linen as nn

    class Cnn(nn.Module):
        @nn.compact
        def __call__(self, image):
            found = nn.relu(nn.Conv(16, (3, 3))(image))
            found = nn.max_pool(nn.relu(nn.Conv(32, (3, 3))(found)), (2, 2), strides=(2, 2))
            found = found.transpose((0, 3, 1, 2))
            return nn.Dense(10)(found.reshape((found.shape[0], 512)))

    def build():
        return Cnn()
"""
MLP: Final = """
    import flax.linen as nn

    class Mlp(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.LayerNorm(epsilon=1e-5)(nn.gelu(nn.Dense(256)(x), approximate=False))
            return nn.Dense(10)(x)

    def build():
        return Mlp()
"""
TRANSFORMER: Final = """
    import flax.linen as nn
    import jax
    import jax.numpy as jnp

    class Encoder(nn.Module):
        @nn.compact
        def __call__(self, ids):
            x = nn.Embed(17, 64)(ids) + nn.Embed(16, 64)(jnp.arange(16))
            for _ in range(2):
                qkv = nn.Dense(192)(nn.LayerNorm(epsilon=1e-5)(x))
                q, k, v = (part.reshape((*part.shape[:2], 4, 16)) for part in jnp.split(qkv, 3, axis=-1))
                weights = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", q, k) / 4.0)
                mixed = jnp.einsum("bhqk,bkhd->bqhd", weights, v)
                x = x + nn.Dense(64)(mixed.reshape((*mixed.shape[:2], 64)))
                inner = nn.Dense(128)(nn.LayerNorm(epsilon=1e-5)(x))
                x = x + nn.Dense(64)(nn.gelu(inner, approximate=False))
            return nn.Dense(10)(x.mean(1))

    def build():
        return Encoder()
"""
MOBILENET: Final = """
    import flax.linen as nn

    STAGES = ((1, 8, 1, 1), (6, 8, 2, 2), (6, 16, 3, 2), (6, 24, 4, 2), (6, 32, 3, 1), (6, 56, 3, 2), (6, 112, 1, 1))

    class MobileNetV2(nn.Module):
        @nn.compact
        def __call__(self, image):
            def layer(x, made, size, stride=1, groups=1):
                x = nn.Conv(made, (size, size), stride, size // 2, feature_group_count=groups, use_bias=False)(x)
                return nn.BatchNorm(use_running_average=True)(x)

            x = nn.relu6(layer(image, 16, 3, 2))
            for expansion, made, repeats, first in STAGES:
                for stride in (first, *[1] * (repeats - 1)):
                    given, inner = x, x.shape[-1] * expansion
                    if expansion > 1:
                        x = nn.relu6(layer(x, inner, 1))
                    x = layer(nn.relu6(layer(x, inner, 3, stride, inner)), made, 1)
                    x = given + x if x.shape[1:] == given.shape[1:] else x
            return nn.Dense(10)(nn.relu6(layer(x, 1280, 1)).mean((1, 2)))

    def build():
        return MobileNetV2()
"""
CODE: Final = {"digits": CNN, "mlp": MLP, "transformer": TRANSFORMER, "mobilenet": MOBILENET}
_NAMES: Final = {
    "Conv2d": "Conv",
    "BatchNorm2d": "BatchNorm",
    "Linear": "Dense",
    "LayerNorm": "LayerNorm",
    "Embedding": "Embed",
}


def flax_weights(model: str) -> dict[str, Array]:
    """The trained weights by the paths of flax's variables, such as ``params.Conv_0.kernel``."""
    seen: Counter[str] = Counter()
    found: dict[str, Array] = {}
    for layer in torch_module(model).modules():
        kind = _NAMES.get(type(layer).__name__)
        if kind is not None:
            name = f"{kind}_{seen[kind]}"
            seen[kind] += 1
            found |= {path.format(name): array for path, array in _arrays(layer, kind).items()}
    return found


def _arrays(layer: Any, kind: str) -> dict[str, Array]:
    state = {name: tensor.numpy() for name, tensor in layer.state_dict().items()}
    found = {"params.{}.bias": state["bias"]} if "bias" in state else {}
    if kind == "Embed":
        found["params.{}.embedding"] = state["weight"]
    elif kind in ("Conv", "Dense"):
        found["params.{}.kernel"] = np.ascontiguousarray(
            state["weight"].transpose(2, 3, 1, 0) if kind == "Conv" else state["weight"].T
        )
    else:
        found["params.{}.scale"] = state["weight"]
    if kind == "BatchNorm":
        found |= {"batch_stats.{}.mean": state["running_mean"], "batch_stats.{}.var": state["running_var"]}
    return found
