# SPDX-License-Identifier: Apache-2.0
"""The benchmark's model as an ONNX file and as a signed bundle."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

from artifacts.digest import digest_bytes
from artifacts.keys.file import FileKeyProvider
from artifacts.manifest import MANIFEST_NAME, SIGNATURE_NAME, FileEntry, Manifest
from artifacts.signing.bundle import sign_manifest
from runners.backends.onnx import OnnxCpuBackend
from runners.interface import RunnerOptions


def digits_mlp() -> bytes:
    """An MLP 64-256-256-10 trained on scikit-learn's digits, as ONNX."""
    pixels, labels = load_digits(return_X_y=True)
    pixels = pixels.astype(np.float32)
    model = MLPClassifier((256, 256), max_iter=60, random_state=0).fit(pixels, labels)
    exported: bytes = to_onnx(model, pixels[:1], options={"zipmap": False}).SerializeToString()
    return exported


def signed_bundle(model: bytes, folder: Path, keys: Path) -> Path:
    """Writes ``model`` as version 1 of ``bench/digits``, signed with a new key under ``keys``."""
    runner = OnnxCpuBackend().load({"model.onnx": model}, options=RunnerOptions())
    manifest = Manifest(
        kind="model",
        tenant="bench",
        model="digits",
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
