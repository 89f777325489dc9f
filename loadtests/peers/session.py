# SPDX-License-Identifier: Apache-2.0
"""How the peers run a model: onnxruntime as this product uses it, one session with one intra-op thread.

Requests of one shape are concatenated. Texts of several lengths are padded to the longest with zeros, which is id 0 for
tokens and "not a token" for a mask; a peer whose clients send ids alone makes the mask itself, which spares it half the JSON.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

IDS, MASK = "input_ids", "attention_mask"


def open_session(file: Path, *, threads: int = 1) -> ort.InferenceSession:
    """The model of a file with ``threads`` intra-op threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


class PeerModel:
    """The model of the file that ``MODEL`` names, its last output, and its first input as the one that clients send."""

    def __init__(self) -> None:
        self._session = open_session(Path(os.environ["MODEL"]))
        self._inputs = [value.name for value in self._session.get_inputs()]
        self.output = self._session.get_outputs()[-1].name
        self.dtype: type[np.generic] = np.int64 if MASK in self._inputs else np.float32

    def run(self, rows: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """One execution.

        Args:
            rows: The first input, ``[rows, …]``; padded ids for a model that takes a mask.
        """
        feed = {self._inputs[0]: rows}
        if MASK in self._inputs:
            feed[MASK] = (rows != 0).astype(np.int64)
        result: npt.NDArray[np.float32] = self._session.run([self.output], feed)[0]
        return result

    def run_all(self, requests: Sequence[npt.NDArray[np.generic]]) -> npt.NDArray[np.float32]:
        """One execution of several requests of one row each."""
        return self.run(requests[0] if len(requests) == 1 else stack(requests))


def stack(arrays: Sequence[npt.NDArray[np.generic]]) -> npt.NDArray[np.generic]:
    """Concatenates along axis 0, after padding axis 1 with zeros if the arrays differ there."""
    longest = max(array.shape[1] for array in arrays)
    if all(array.shape[1] == longest for array in arrays):
        return np.concatenate(arrays)
    padded = [np.pad(array, ((0, 0), (0, longest - array.shape[1]))) for array in arrays]
    return np.concatenate(padded)
