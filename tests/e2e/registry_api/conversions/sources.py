# SPDX-License-Identifier: Apache-2.0
"""Classifiers of scikit-learn's digits as their authors save them, each with its own answers to rows it has never seen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from core.tensors import Array
from tests.integration.converters import models
from tests.integration.converters.data import digits
from tests.integration.converters.keras_networks import keras_of
from tests.integration.converters.torch_networks import torch_module

ROWS: Final = 200  # of calibration data; the models were trained on the first 1,300 rows
TESTED: Final = 64


@dataclass(frozen=True, kw_only=True)
class Source:
    """One upload."""

    path: Path  # a file, or a folder
    options: tuple[str, ...]  # of `furo push`
    images: Array  # held out
    scores: Array  # what the framework itself makes of them
    calibration: Path


def save_sources(folder: Path) -> dict[str, Source]:
    """A Keras archive and a SavedModel of one network, a torch.export program and a TorchScript file of another."""
    import torch

    for name, uploaded in (
        ("keras", models.keras_archive("digits")),
        ("saved", models.saved_model("digits")),
        ("export", models.torch_export("digits")),
        ("script", models.torchscript("digits")),
    ):
        for path, data in uploaded.files.items():
            (folder / name / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / name / path).write_bytes(data)
    wide, classes = digits()
    deep = np.ascontiguousarray(wide.transpose(0, 3, 1, 2))
    for name, images in (("wide", wide), ("deep", deep)):
        np.savez(folder / f"{name}.npz", image=images[:ROWS], labels=classes[:ROWS])
    scored = np.asarray(keras_of("digits")(wide[-TESTED:]))
    tensors = ("--input", "image:FP32:-1,1,8,8", "--result", "scores:FP32:-1,10")
    with torch.inference_mode():
        torch_scored = torch_module("digits")(torch.from_numpy(deep[-TESTED:])).numpy()

    def of_keras(path: str) -> Source:
        return Source(
            path=folder / path, options=(), images=wide[-TESTED:], scores=scored, calibration=folder / "wide.npz"
        )

    def of_torch(path: str, *options: str) -> Source:
        return Source(
            path=folder / path,
            options=options,
            images=deep[-TESTED:],
            scores=torch_scored,
            calibration=folder / "deep.npz",
        )

    return {
        "keras-digits": of_keras("keras/model.keras"),
        "saved-digits": of_keras("saved"),
        "export-digits": of_torch("export/model.pt2"),
        "script-digits": of_torch("script/model.pt", *tensors),
    }
