# SPDX-License-Identifier: Apache-2.0
"""The benchmark's models: the ONNX file, one request, the peers that serve it, and the signed bundle of ours.

``digits`` computes next to nothing, so it shows what a server adds. ``minilm`` computes for milliseconds, so it shows what is
left to gain when the model is the work; it needs torch and the packages of ``deploy/locks/full.txt``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

from artifacts.digest import digest_bytes
from artifacts.keys.file import FileKeyProvider
from artifacts.manifest import MANIFEST_NAME, SIGNATURE_NAME, FileEntry, Manifest
from artifacts.signing.bundle import sign_manifest
from core.tensors import Array
from deploy.local.sentences import SENTENCES
from runners.backends.onnx import OnnxCpuBackend
from runners.interface import RunnerOptions

_TOKENS: Final = 16  # of MiniLM's request


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One model and what is asked of it."""

    name: str
    onnx: bytes
    request: Mapping[str, Array]  # every input of one request, one row
    output: str  # the output asked for
    peers: str  # module of the peers
    peer_body: Mapping[str, Any]  # the same request as the peers take it


def digits() -> Subject:
    """An MLP 64-256-256-10 trained on scikit-learn's digits; a request is one row."""
    pixels, labels = load_digits(return_X_y=True)
    pixels = pixels.astype(np.float32)
    model = MLPClassifier((256, 256), max_iter=60, random_state=0).fit(pixels, labels)
    row = np.arange(64, dtype=np.float32)[None] % 17
    return Subject(
        name="digits",
        onnx=to_onnx(model, pixels[:1], options={"zipmap": False}).SerializeToString(),
        request={"X": row},
        output="probabilities",
        peers="loadtests.peers.digits_bentoml",
        peer_body={"x": row.tolist()},
    )


def minilm() -> Subject:
    """all-MiniLM-L6-v2; a request is one sentence of 16 tokens."""
    from deploy.local.minilm import OUTPUT, MiniLM

    model = MiniLM()
    tokens = next(tokens for sentence in SENTENCES if (tokens := model.tokens([sentence]))["input_ids"].size == _TOKENS)
    with tempfile.TemporaryDirectory(prefix="furoshiki-bench-") as folder:
        file = Path(folder) / "minilm.onnx"
        model.export(file)
        onnx = file.read_bytes()
    return Subject(
        name="minilm",
        onnx=onnx,
        request=tokens,
        output=OUTPUT,
        peers="loadtests.peers.minilm_bentoml",
        peer_body={"input_ids": tokens["input_ids"].tolist()},
    )


SUBJECTS: Final[Mapping[str, Callable[[], Subject]]] = {"digits": digits, "minilm": minilm}


def signed_bundle(subject: Subject, folder: Path, keys: Path) -> Path:
    """Writes the model as version 1 of ``bench/<name>``, signed with a new key under ``keys``."""
    model = subject.onnx
    runner = OnnxCpuBackend().load({"model.onnx": model}, options=RunnerOptions())
    manifest = Manifest(
        kind="model",
        tenant="bench",
        model=subject.name,
        version=1,
        variant="onnx-fp32/cpu",
        format="onnx",
        files=(FileEntry(path="model.onnx", size=len(model), digest=digest_bytes(model)),),
        signature=runner.signature,
        parent=None,
        producer="furoshiki bench",
        created_at=datetime.now(UTC),
        expires_at=None,
        metadata={},
    )
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model)
    (folder / MANIFEST_NAME).write_bytes(manifest.to_bytes())
    (folder / SIGNATURE_NAME).write_bytes(sign_manifest(manifest, FileKeyProvider(keys).signer("bench")))
    return folder
