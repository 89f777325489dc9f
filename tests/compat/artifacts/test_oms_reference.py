# SPDX-License-Identifier: Apache-2.0
"""OpenSSF's own tool (model-signing 1.1.1) accepts our P-256 bundles and refuses changed ones.

It runs as a user runs it: ``python -m model_signing verify key``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from artifacts.manifest import SIGNATURE_NAME
from artifacts.signing.bundle import sign_manifest
from artifacts.signing.p256 import EcdsaP256Signer
from artifacts.testing import Bundle, make_bundle

FILES = {"model.onnx": b"not a real model" * 8, "a/b/data": b"1", "a-b": b"2", "a/labels.txt": b"zero\none\n"}


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Bundle, Path]:
    bundle = make_bundle(FILES, signer=EcdsaP256Signer.generate())
    (tmp_path / "key.pub").write_bytes(bundle.signer.public_key)
    return bundle, bundle.write(tmp_path / "bundle")


def reference_verifies(folder: Path, signature: Path) -> subprocess.CompletedProcess[str]:
    key = folder.parent / "key.pub"
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(folder)]
    command += ["--signature", str(signature), "--public_key", str(key)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_reference_accepts_a_bundle(signed: tuple[Bundle, Path]) -> None:
    """A folder we signed with P-256 verifies in the reference tool as it lies."""
    _, folder = signed
    result = reference_verifies(folder, folder / SIGNATURE_NAME)
    assert (result.returncode, "Verification succeeded" in result.stdout) == (0, True), result.stderr


def test_reference_refuses_a_changed_byte(signed: tuple[Bundle, Path]) -> None:
    """After one byte of the model changed, the reference tool refuses the same folder and names the file."""
    _, folder = signed
    data = bytearray(FILES["model.onnx"])
    data[7] ^= 1
    (folder / "model.onnx").write_bytes(data)
    result = reference_verifies(folder, folder / SIGNATURE_NAME)
    assert result.returncode != 0
    assert "Hash mismatch for 'model.onnx'" in result.stdout + result.stderr


def test_reference_accepts_a_co_signature(signed: tuple[Bundle, Path]) -> None:
    """A P-256 signature kept beside a bundle that carries its Ed25519 one verifies too."""
    nist, nist_folder = signed
    edwards = make_bundle(FILES)
    folder = edwards.write(nist_folder.with_name("edwards"))
    co_signature = nist_folder.with_name("edwards.p256.sig")
    co_signature.write_bytes(sign_manifest(edwards.manifest, nist.signer))
    result = reference_verifies(folder, co_signature)
    assert result.returncode == 0, result.stderr
