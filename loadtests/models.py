# SPDX-License-Identifier: Apache-2.0
"""The models of the benchmark and what is asked of them.

``mlp`` computes next to nothing, so it shows what a server adds. ``mobilenet`` has large requests and computes for
milliseconds in convolutions, which gain from instances and not from batches. ``minilm`` has texts of mixed lengths, which
gain from batches of like lengths.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import onnxruntime as ort

from core.tensors import Array

Inputs: TypeAlias = Mapping[str, Array]

LENGTHS: Final = (8, 128)  # tokens of MiniLM's shortest and longest text
_TEXTS: Final = 64
_RAGGED: Final = {  # texts of several lengths may share a batch; see runners.batching.options
    "batching.ragged": json.dumps({"input_ids": 1, "attention_mask": 1}),
    "batching.ragged_mask": "attention_mask",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One model and its requests."""

    name: str
    onnx: bytes
    requests: Sequence[Inputs]  # of one row each, taken in turn
    output: str  # the output asked for
    metadata: Mapping[str, str]  # recorded in the signed manifest

    def expected(self) -> list[Array]:
        """What onnxruntime answers to each request alone."""
        session = ort.InferenceSession(self.onnx, providers=["CPUExecutionProvider"])
        answers: list[Array] = [session.run([self.output], dict(request))[0] for request in self.requests]
        return answers


def mlp() -> Subject:
    """An MLP 64-256-256-10 trained on scikit-learn's digits; a request is one row of 64 floats."""
    from skl2onnx import to_onnx
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits

    pixels, labels = load_digits(return_X_y=True)
    pixels = pixels.astype(np.float32)
    with threadpool_limits(1):  # a small model: threads of linear algebra only wait for each other
        model = MLPClassifier((256, 256), max_iter=60, random_state=0).fit(pixels, labels)
    return Subject(
        name="mlp",
        onnx=to_onnx(model, pixels[:1], options={"zipmap": False}).SerializeToString(),
        requests=[{"X": np.arange(64, dtype=np.float32)[None] % 17}],
        output="probabilities",
        metadata={},
    )


def mobilenet() -> Subject:
    """MobileNetV2 with synthetic weights; a request is one image of 602,112 bytes."""
    from loadtests.mobilenet import SIDE, mobilenet_v2_onnx

    image = np.random.default_rng(0).standard_normal((1, 3, SIDE, SIDE), dtype=np.float32)
    return Subject(
        name="mobilenet", onnx=mobilenet_v2_onnx(), requests=[{"images": image}], output="logits", metadata={}
    )


def minilm() -> Subject:
    """all-MiniLM-L6-v2; the requests are 64 texts of 8 to 128 tokens, evenly spread, in a shuffled order."""
    from deploy.local.minilm import OUTPUT, MiniLM
    from deploy.local.sentences import SENTENCES

    model = MiniLM()
    words = np.concatenate([model.tokens([sentence])["input_ids"][0, 1:-1] for sentence in SENTENCES])
    begin, *_, end = model.tokens(["a"])["input_ids"][0]
    lengths = np.random.default_rng(0).permutation(np.linspace(*LENGTHS, _TEXTS).round().astype(int))
    requests = []
    for index, length in enumerate(lengths):
        text = np.take(words, np.arange(length - 2) + 7 * index, mode="wrap")
        ids = np.concatenate([[begin], text, [end]])[None].astype(np.int64)
        requests.append({"input_ids": ids, "attention_mask": np.ones_like(ids)})
    with tempfile.TemporaryDirectory(prefix="furoshiki-bench-") as folder:
        file = Path(folder) / "minilm.onnx"
        model.export(file)
        return Subject(name="minilm", onnx=file.read_bytes(), requests=requests, output=OUTPUT, metadata=_RAGGED)


_SUBJECTS: Final[Mapping[str, Callable[[], Subject]]] = {"mlp": mlp, "mobilenet": mobilenet, "minilm": minilm}


@cache
def subject(name: str) -> Subject:
    """A model by name, made once per process: ``mlp``, ``mobilenet`` or ``minilm``."""
    return _SUBJECTS[name]()
