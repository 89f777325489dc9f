# SPDX-License-Identifier: Apache-2.0
"""How the peers run the benchmark's model: onnxruntime as this product uses it, one session with one intra-op thread."""

from __future__ import annotations

import os

import onnxruntime as ort


def open_session() -> ort.InferenceSession:
    """The model of the file that ``MODEL`` names."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
