# SPDX-License-Identifier: Apache-2.0
"""MobileNetV2 (Sandler et al. 2018, table 2) in torch with random weights, exported to ONNX.

Synthetic: the weights are seeded noise, so its answers mean nothing, but its operators, sizes and times are those of the real
network. The export folds nothing; runtimes do that themselves when they load it.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

SIDE: Final = 224  # pixels
_STAGES: Final = (  # expansion, channels, repeats, stride of the first
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _convolution(inside: int, outside: int, kernel: int, *, stride: int = 1, groups: int = 1) -> list[Any]:
    convolution = nn.Conv2d(inside, outside, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out")
    return [convolution, nn.BatchNorm2d(outside)]


class _Bottleneck(nn.Module):  # type: ignore[misc] # torch is not followed: it may be absent
    """An inverted residual: widen, filter each channel, narrow without activation."""

    def __init__(self, inside: int, outside: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inside * expansion
        widen = [] if expansion == 1 else [*_convolution(inside, wide, 1), nn.ReLU6()]
        filters = [*_convolution(wide, wide, 3, stride=stride, groups=wide), nn.ReLU6()]
        self.layers = nn.Sequential(*widen, *filters, *_convolution(wide, outside, 1))
        self.residual = stride == 1 and inside == outside

    def forward(self, x: Any) -> Any:
        return x + self.layers(x) if self.residual else self.layers(x)


def mobilenet_v2() -> Any:
    """The network of width 1.0 with 1,000 classes, in evaluation mode; the same weights every time."""
    torch.manual_seed(0)
    layers = [*_convolution(3, 32, 3, stride=2), nn.ReLU6()]
    inside = 32
    for expansion, outside, repeats, stride in _STAGES:
        for repeat in range(repeats):
            layers.append(_Bottleneck(inside, outside, stride=1 if repeat else stride, expansion=expansion))
            inside = outside
    layers += [*_convolution(inside, 1280, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000)]
    return nn.Sequential(*layers).eval()


def mobilenet_v2_onnx() -> bytes:
    """The ONNX file: ``images`` FP32 [batch, 3, 224, 224] to ``logits`` FP32 [batch, 1000]."""
    example = torch.zeros(2, 3, SIDE, SIDE)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="furoshiki-mobilenet-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = Path(folder) / "model.onnx"
        program = torch.onnx.export(
            mobilenet_v2(),
            (example,),
            dynamo=True,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: "batch"},),
            opset_version=18,
            verbose=False,
        )
        program.save(file)
        return file.read_bytes()
