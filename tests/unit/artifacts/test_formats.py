# SPDX-License-Identifier: Apache-2.0
"""Formats by the names of files: one main file of one format, or a refusal that says what was found."""

from __future__ import annotations

import pytest

from artifacts.formats import FORMATS, PICKLES, check_no_pickles, detect, format_named
from artifacts.testing import refused
from core.errors import ErrorCode

FACTORY = ("factory.json", "factory.py", "weights.safetensors")


@pytest.mark.parametrize(
    ("paths", "name", "main"),
    [
        (("model.onnx", "weights.bin"), "onnx", "model.onnx"),
        (("model.tflite", "labels.txt"), "tflite", "model.tflite"),
        (("m/saved_model.pb", "m/variables/variables.index", "m/assets/vocab.txt"), "saved_model", "m/saved_model.pb"),
        (("model.pt",), "torchscript", "model.pt"),
        (("model.ts",), "torchscript", "model.ts"),
        (("model.pt2",), "torch_export", "model.pt2"),
        (("model.keras",), "keras", "model.keras"),
        (("model.jax_export",), "jax_export", "model.jax_export"),
        (FACTORY, "factory", "factory.json"),
        (tuple(f"deep/{path}" for path in FACTORY), "factory", "deep/factory.json"),
    ],
)
def test_a_format_is_told_from_its_main_file(paths: tuple[str, ...], name: str, main: str) -> None:
    """Whatever accompanies it and however deep it lies."""
    found = detect(paths)
    assert (found.name, found.main(paths)) == (name, main)
    assert found.folder(paths) == (main.rpartition("/")[0] or ".")


@pytest.mark.parametrize(
    ("paths", "reason"),
    [
        ((), "no known format"),
        (("labels.txt",), "no known format"),
        (("a.onnx", "b.tflite"), "onnx, tflite"),
        (("a.onnx", "b.onnx"), "2 main files"),
        (("model.h5",), "no known format"),
        (("factory.json", "factory.py"), "weights.safetensors"),
        (("factory.json", "x/factory.py", "weights.safetensors"), "factory.py"),
    ],
)
def test_anything_else_is_refused(paths: tuple[str, ...], reason: str) -> None:
    """MODEL_003, naming what was found and what was expected."""
    with refused(ErrorCode.MODEL_INVALID, reason):
        detect(paths)


@pytest.mark.parametrize("suffix", sorted(PICKLES))
def test_pickles_are_refused_wherever_they_lie(suffix: str) -> None:
    """Beside a model too, and whatever the case of the name."""
    with refused(ErrorCode.MODEL_INVALID, "pickle"):
        detect(("model.onnx", f"deep/scaler{suffix.upper()}"))
    check_no_pickles(("model.onnx", "pickle.txt"))


def test_names_of_formats_are_known_or_refused() -> None:
    """A name gives its format; an unknown one is MODEL_003 with the list."""
    assert all(format_named(name) is form for name, form in FORMATS.items())
    with refused(ErrorCode.MODEL_INVALID, "saved_model"):
        format_named("savedmodel")
